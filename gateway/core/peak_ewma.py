"""How long the next request to a backend may take: a moving average of latency that believes bad news at once.

Finagle's peak EWMA, which tower and linkerd have too: a latency above the average becomes the average, lower ones bring
it down as time passes, and without any it sinks by itself, so that a backend that was slow once is tried again.
Two things are added: a failure counts as a long time, so that failing fast attracts nobody; and a request that is
still waited for counts as long as it has waited, so that a backend that hangs is noticed before anything times out.
"""

from __future__ import annotations

import math

DECAY = 5.0  # seconds in which what was known loses 63 % of its weight
PENALTY = 5.0  # seconds that a failure counts for, where it did not take longer


class PeakEwma:
    """The latency of one backend, in seconds; ``now`` is in seconds on a clock that never goes back.

    Every request that begins ends once: ``answered``, ``failed`` or ``abandoned``.
    """

    __slots__ = ("_at", "_average", "_begun", "_started")

    def __init__(self) -> None:
        self._average = 0.0
        self._at = -math.inf  # when the last one ended
        self._begun = 0
        self._started: dict[int, float] = {}  # of those under way, the oldest first

    def estimate(self, now: float) -> float:
        """Seconds that the next one may take; 0 when nothing is known, and so it is worth trying."""
        known = self._average * math.exp((self._at - now) / DECAY)
        if not self._started:
            return known
        waited = now - next(iter(self._started.values()))
        if self._at == -math.inf:
            known = PENALTY  # the first one is on its way, and others should not follow before it is back
        return max(known, waited)

    def begin(self, now: float) -> int:
        """Note that a request is sent; returns its number, with which it ends."""
        self._begun += 1
        self._started[self._begun] = now
        return self._begun

    def answered(self, number: int, now: float) -> None:
        """It was answered."""
        took = now - self._started.pop(number)
        self._learn(took, took, now)

    def failed(self, number: int, now: float) -> None:
        """It failed by the backend's fault.

        Averaged and not taken for a peak: a backend that fails once in a thousand looks a few milliseconds slower,
        and one that always fails is out before it has failed a handful of times.
        """
        took = now - self._started.pop(number)
        self._learn(took, max(took, PENALTY), now)

    def abandoned(self, number: int, now: float) -> None:
        """Nobody waits for it any more, or it was no fair sample: all it tells is that it took no less."""
        took = now - self._started.pop(number)
        if took > self._average * math.exp((self._at - now) / DECAY):
            self._learn(took, took, now)

    def _learn(self, took: float, counts: float, now: float) -> None:
        kept = math.exp((self._at - now) / DECAY)
        self._average = max(took, kept * self._average + (1 - kept) * counts)
        self._at = now
