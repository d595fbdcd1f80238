"""What an operator may do with the configuration of a running gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

# What it was and what it is, by the key that differs: its path, joined by dots.
Changes = Mapping[str, tuple[Any, Any]]


class ConfigControl(Protocol):
    """The configuration that the gateway obeys now, and the ways to change it; values are as JSON has them."""

    def shown(self) -> Mapping[str, Any]:
        """All of it, without what is secret."""

    async def patch(self, patch: Any, *, dry_run: bool) -> Changes:
        """Change what ``patch``, a JSON Merge Patch, says; with ``dry_run`` only say what that would be.

        Raises:
            InvalidRequest: the result is wrong; names the keys.
            Conflict: it cannot be changed while the gateway runs, or not this way; names the keys.
        """

    async def reload(self, trigger: str, *, dry_run: bool) -> Changes:
        """Read the file anew, and take back what was patched; ``trigger`` names what asked for it.

        Raises:
            InvalidRequest, Conflict: as ``patch``; what was obeyed before still is.
        """
