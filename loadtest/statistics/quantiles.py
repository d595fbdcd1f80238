"""Exact order statistics: percentiles and distribution-free confidence intervals; nothing is interpolated or averaged.

The interval of a quantile is that of the binomial distribution: of ``count`` independent samples, the number below
the quantile is binomial whatever the samples' distribution is, which says between which two order statistics the
quantile lies. It holds for independent samples only; ``loadtest.statistics.series`` deals with those that are not.

Whether there are enough samples to show a percentile is decided by the rule that MLPerf LoadGen stops early by:
``count`` requests establish that a ``share`` of all requests keeps a limit, with 99 % confidence, when a server that
barely fails to would let so few requests exceed it with a probability of at most 1 %. The least count for which one
request may exceed the limit is the least that a percentile is shown for: 64 for p90, 130 for p95, 662 for p99 and
6,636 for p99.9. LoadGen has no such rule for the median; the same one gives 11.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from loadtest.statistics.estimate import CONFIDENCE, Interval

Times = npt.NDArray[np.floating] | npt.NDArray[np.integer]

_EARLY_STOPPING_CONFIDENCE = 0.99


def percentile(ordered: Times, share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the ascending, non-empty ``ordered`` do not exceed."""
    return float(ordered[percentile_rank(len(ordered), share)])


def percentile_rank(count: int, share: float) -> int:
    """Where ``percentile`` is found (from 0)."""
    # Rounding keeps 0.9 × 10 at 9, where floating point may say 9.000000000000002.
    return max(math.ceil(round(share * count, 9)), 1) - 1


def least_samples(share: float) -> int:
    """Samples below which the ``share`` (between 0 and 1, both excluded) percentile is greyed out."""

    def at_most_one_exceeds(count: int) -> float:
        return share**count + count * (1 - share) * share ** (count - 1)

    enough = 2
    while at_most_one_exceeds(enough) > 1 - _EARLY_STOPPING_CONFIDENCE:
        enough *= 2
    return bisect_left(range(enough), _EARLY_STOPPING_CONFIDENCE - 1, lo=1, key=lambda n: -at_most_one_exceeds(n))


LEAST_SAMPLES: dict[float, int] = {share: least_samples(share) for share in (0.5, 0.9, 0.95, 0.99, 0.999)}


def interval_ranks(count: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks (from 0) of the order statistics between which the ``share`` quantile lies with ``confidence``.

    None when not even the least and the greatest of ``count`` independent samples are far enough apart.
    """
    tail = (1 - confidence) / 2

    def at_most_below(rank: int) -> float:
        return float(special.bdtr(rank, count, share))

    ranks = range(count)
    low = bisect_left(ranks, True, key=lambda rank: at_most_below(rank) > tail) - 1
    high = bisect_left(ranks, True, key=lambda rank: at_most_below(rank) >= 1 - tail)
    return (low, high) if low >= 0 and high < count else None


def quantile_interval(
    values: Sequence[float] | Times, share: float = 0.5, confidence: float = CONFIDENCE
) -> Interval | None:
    """Interval that holds the ``share`` quantile of the population; None when there are too few ``values``."""
    ranks = interval_ranks(len(values), share, confidence)
    if ranks is None:
        return None
    ordered = np.sort(np.asarray(values))
    return Interval(float(ordered[ranks[0]]), float(ordered[ranks[1]]))
