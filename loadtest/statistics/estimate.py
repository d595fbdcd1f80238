"""A number with its uncertainty."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

CONFIDENCE = 0.95

Method = Literal["order statistics", "batch means", "block percentiles", "jackknife", ""]


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether no difference between the two is established."""
        return self.low <= other.high and other.low <= self.high

    def holds(self, value: float) -> bool:
        """Whether ``value`` is not excluded."""
        return self.low <= value <= self.high


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic of a sample.

    Attributes:
        value: the statistic of the merged samples.
        interval: its 95 % confidence interval; None when the samples allow none.
        method: how the interval was made; empty without one.
        enough: whether there are enough samples to show it (LoadGen's rule); else it is greyed out.
    """

    value: float
    interval: Interval | None = None
    method: Method = ""
    enough: bool = True

    @property
    def precision(self) -> float | None:
        """Half the width of the interval as a share of the value; None without an interval."""
        if self.interval is None or self.value == 0:
            return None
        return (self.interval.high - self.interval.low) / 2 / self.value
