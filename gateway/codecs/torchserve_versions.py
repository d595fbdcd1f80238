"""Versions of models: free text in TorchServe (``1.0``), decimal numbers in the gateway."""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"(\d+)(?:\.0+)*", re.ASCII)


def decimal_version(version: str) -> str:
    """The number that stands for TorchServe's ``version``: ``1`` for ``1.0``; what is no number stays as it is."""
    found = _DECIMAL.fullmatch(version)
    return str(int(found[1])) if found is not None else version
