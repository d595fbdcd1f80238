"""Where to look for the best limit first: what quiet times tell of it, by Little's law.

As many requests are under way as the throughput times the latency. With the throughput of a crowd and the latency of
quiet times, that is as many as a backend can work on at once. Begun is with a share of that: quiet times are not all
quiet, and too few under way are found out sooner than too many.
"""

from __future__ import annotations

import math

_BLOCK = 10  # answers whose mean latency is one look; of many looks the best one counts
_SHARE = 0.5


class FirstGuess:
    """Times are in seconds; a guess is made once."""

    __slots__ = ("_began", "_block", "_crowded", "_least", "_seconds")

    def __init__(self) -> None:
        self._seconds, self._block = 0.0, 0
        self._least = math.inf  # mean latency of the best block
        self._began, self._crowded = 0.0, 0

    def quiet(self, seconds: float, now: float) -> None:
        """Learn that a request was answered after ``seconds`` while nobody waited."""
        self._seconds += seconds
        self._block += 1
        if self._block == _BLOCK:
            self._least = min(self._least, self._seconds / _BLOCK)
            self._seconds, self._block = 0.0, 0
        self._began, self._crowded = now, 0

    def crowded(self, now: float, *, answers: int, seconds: float) -> float | None:
        """The guess, as soon as a crowd has had so many ``answers``, in no less than so many ``seconds``."""
        self._crowded += 1
        if self._crowded < answers or now - self._began < seconds:
            return None
        return _SHARE * self._crowded / (now - self._began) * self._least
