"""What a client is told that asked for a comparison."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Compared:
    """One backend's part.

    Attributes:
        backend: its name.
        seconds: how long it took; None when it gave no answer.
        max_abs: how far its answer is from the one that the client gets; None for that one itself.
        problem: why it gave no answer: the reason of an error, or of not being asked.
    """

    backend: str
    seconds: float | None = None
    max_abs: float | None = None
    problem: str = ""
