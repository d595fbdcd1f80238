"""Where values fall on an axis, and which round values to mark there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Scale(Protocol):
    """Maps values to pixels."""

    @property
    def start(self) -> float:
        """Pixel of the least value."""

    @property
    def end(self) -> float:
        """Pixel of the greatest value."""

    def __call__(self, value: float) -> float:
        """Pixel of ``value``; the middle when the scale has no extent."""

    def ticks(self) -> list[float]:
        """Round values on the axis."""


@dataclass(slots=True, frozen=True)
class LogScale:
    """Maps ``low`` … ``high`` (both positive) to ``start`` … ``end`` pixels, logarithmically."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """See ``Scale``."""
        if self.high <= self.low:
            return (self.start + self.end) / 2
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """See ``log_ticks``."""
        return log_ticks(self.low, self.high)


@dataclass(slots=True, frozen=True)
class LinearScale:
    """Maps ``low`` … ``high`` to ``start`` … ``end`` pixels, evenly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """See ``Scale``."""
        if self.high <= self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """See ``linear_ticks``."""
        return linear_ticks(self.low, self.high)


def log_ticks(low: float, high: float) -> list[float]:
    """Round values (1, 2, 5 × powers of ten; every power alone over wide ranges) from ``low`` to ``high``.

    A range too narrow for three of them gets evenly spaced ones.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 10**4 else (1,)
    ticks = [factor * 10.0**decade for decade in decades for factor in factors]
    inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    return inside if len(inside) > 2 else linear_ticks(low, high)


def linear_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Some ``about`` round values, evenly spaced from ``low`` to ``high``."""
    if high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]
