"""Exact order statistics: percentiles and distribution-free confidence intervals; nothing is averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating] | npt.NDArray[np.integer]
CONFIDENCE = 0.95

# MLPerf LoadGen's early-stopping rule: samples below which a percentile is not estimated at all.
LEAST_SAMPLES: dict[float, int] = {0.5: 1, 0.9: 64, 0.95: 130, 0.99: 662, 0.999: 6636}


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether no difference between the two is established."""
        return self.low <= other.high and other.low <= self.high


def percentile(ordered: FloatArray, share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the ascending, non-empty ``ordered`` do not exceed."""
    # Rounding keeps 0.9 × 10 at 9, where floating point may say 9.000000000000002.
    return float(ordered[max(math.ceil(round(share * len(ordered), 9)), 1) - 1])


def shown_percentile(ordered: FloatArray, share: float) -> float | None:
    """``percentile``, or None when there are too few samples to say (``LEAST_SAMPLES``)."""
    return percentile(ordered, share) if len(ordered) >= LEAST_SAMPLES[share] else None


def interval_ranks(count: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks (from 0) of the order statistics between which the ``share`` quantile lies with ``confidence``.

    The number of ``count`` independent samples below the quantile is binomial, whatever their distribution. None
    when not even the least and the greatest sample are far enough apart.
    """
    if count < 1:
        return None
    tail = (1 - confidence) / 2
    below = np.cumsum(_binomial(count, share))
    low = int(np.searchsorted(below, tail, side="right")) - 1  # P(at most `low` below) ≤ tail
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1  # P(at least `high` below) ≤ tail
    return (low, high - 1) if low >= 0 and high <= count else None


def quantile_interval(
    values: Sequence[float] | FloatArray, share: float = 0.5, confidence: float = CONFIDENCE
) -> Interval | None:
    """Interval that holds the ``share`` quantile of the population; None when there are too few ``values``."""
    ranks = interval_ranks(len(values), share, confidence)
    if ranks is None:
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return Interval(float(ordered[ranks[0]]), float(ordered[ranks[1]]))


def _binomial(count: int, share: float) -> npt.NDArray[np.float64]:
    """Probabilities of 0 … ``count`` successes, in logarithms so that a million samples do not underflow."""
    successes = np.arange(count)
    steps = np.log((count - successes) / (successes + 1)) + math.log(share / (1 - share))
    logarithms = count * math.log1p(-share) + np.concatenate(([0.0], np.cumsum(steps)))
    return np.exp(logarithms)
