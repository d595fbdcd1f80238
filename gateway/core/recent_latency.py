"""A percentile of the latencies of the last minute or so, kept for next to nothing."""

from __future__ import annotations

import math

_LEAST = 1e-5  # seconds: the upper bound of the first bucket
_GROWTH = 1.1  # from bucket to bucket, and so the precision
_BUCKETS = 160  # up to 40 s
_STEPS = 1 / math.log(_GROWTH)
_BEYOND = 5  # samples that have to be above the percentile before it means something
_REFRESH = 16  # samples


class RecentLatency:
    """Two histograms of ``window / 2`` seconds each: the one that fills, and the one before.

    ``now`` is in seconds on a clock that never goes back.

    Attributes:
        percentile: which one, from 0 to 1.
        value: the percentile in seconds, at most 10 % too large; None while there are too few samples.
    """

    __slots__ = ("_current", "_ends", "_half", "_least_samples", "_previous", "_since", "percentile", "value")

    def __init__(self, percentile: float, window: float = 60.0) -> None:
        self.value: float | None = None
        self.percentile = percentile
        self._least_samples = math.ceil(round(_BEYOND / (1 - percentile), 6))
        self._half = window / 2
        self._current = self._previous = [0] * _BUCKETS
        self._ends = -math.inf  # when the one that fills is full
        self._since = 0  # samples since ``value`` was found

    def add(self, seconds: float, now: float) -> None:
        """Count one request that took ``seconds``."""
        if now >= self._ends:
            self._turn(now)
        bucket = math.ceil(math.log(seconds / _LEAST) * _STEPS) if seconds > _LEAST else 0
        self._current[min(bucket, _BUCKETS - 1)] += 1
        self._since += 1
        if self._since >= _REFRESH:
            self._refresh()

    def _turn(self, now: float) -> None:
        is_recent = now < self._ends + self._half
        self._previous = self._current if is_recent else [0] * _BUCKETS
        self._current = [0] * _BUCKETS
        self._ends = now + self._half
        self._refresh()

    def _refresh(self) -> None:
        self._since = 0
        self.value = None
        both = [old + new for old, new in zip(self._previous, self._current, strict=True)]
        samples = sum(both)
        if samples < self._least_samples:
            return
        beyond = samples * (1 - self.percentile)
        for bucket in range(_BUCKETS - 1, -1, -1):
            beyond -= both[bucket]
            if beyond < 0:
                self.value = _LEAST * _GROWTH**bucket
                return
