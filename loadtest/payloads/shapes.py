"""Shapes for inputs whose sizes a model leaves open, as a person writes them: ``input:1x128``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from loadtest.errors import BadSpec

_SPEC = re.compile(r"(?P<input>.+):(?P<sizes>\d{1,9}(?:x\d{1,9})*)", re.ASCII | re.DOTALL)

Shapes = Mapping[str, tuple[int, ...]]


def parse_shapes(texts: Iterable[str]) -> Shapes:
    """Shapes by input name.

    Raises:
        BadSpec: one cannot be read, or an input is named twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        found = _SPEC.fullmatch(text)
        sizes = tuple(int(size) for size in found["sizes"].split("x")) if found is not None else (0,)
        if found is None or 0 in sizes:
            raise BadSpec(f"shape {text!r} cannot be read; INPUT:SIZExSIZE such as input:1x128 is expected")
        if found["input"] in shapes:
            raise BadSpec(f"shape {text!r}: input {found['input']!r} has a shape already")
        shapes[found["input"]] = sizes
    return shapes
