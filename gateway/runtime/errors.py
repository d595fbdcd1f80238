"""The one error of this package that reaches the user."""

from __future__ import annotations


class RuntimeFailure(Exception):
    """``gateway up`` cannot start or go on; the message is complete and meant for the user."""
