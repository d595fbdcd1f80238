"""What can go wrong with one of the servers; the others are measured all the same."""

from __future__ import annotations


class CannotMeasure(Exception):
    """A server does not install, start or answer. The message is a reason for people."""


class Interrupted(Exception):
    """Somebody wants this to end."""
