"""Samples in blocks that are long enough to be independent of each other.

Consecutive samples of one queue depend on each other over its busy periods, but sums over stretches much longer than
those hardly do. So the variance of a mean is found from the sums over blocks (*batch means*), whatever the
dependence within them is, and Student's t with one degree of freedom for each block but one pays for their small
number.

The blocks of a continuous run start at 32 of them: more would narrow the interval by no more than 4 % and be shorter,
fewer would widen it. Neighbours whose sums are correlated (one-sided test of the lag-1 correlation at the 10 % level:
a missed correlation costs more than fewer blocks) are joined, as long as at least 6 blocks remain; when those are still
correlated, the run is too short for its dependence and nothing is said. In an interleaved experiment with at least 6
segments each is a block, because requests within a segment share its luck; neighbours are not looked at, for other
targets were measured between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from loadtest.statistics.estimate import CONFIDENCE
from loadtest.statistics.quantiles import Times

LEAST_BLOCKS = 6
_MOST_BLOCKS = 32
_CORRELATED = float(special.ndtri(0.9))


class Spread(NamedTuple):
    """The variance of a sum over all samples, and its degrees of freedom."""

    variance: float
    freedom: int

    @property
    def factor(self) -> float:
        """Student's t: standard deviations on either side of an estimate that make its confidence interval."""
        return float(special.stdtrit(self.freedom, (1 + CONFIDENCE) / 2))


def interleaved(segments: Sequence[Times]) -> bool:
    """Whether there are enough segments for each to be a block."""
    return sum(len(segment) > 0 for segment in segments) >= LEAST_BLOCKS


def spread_of_sum(deviations: npt.NDArray[np.float64], segments: Sequence[Times]) -> Spread | None:
    """Spread of the sum of ``deviations`` from a mean, those of the ``segments``' samples one after the other.

    None: too few blocks that are independent of each other.
    """
    if interleaved(segments):
        starts = np.cumsum([0, *(len(segment) for segment in segments if len(segment))])[:-1]
        return _spread(np.add.reduceat(deviations, starts))
    count = len(deviations)
    if count < LEAST_BLOCKS:
        return None
    sums = np.add.reduceat(deviations, np.linspace(0, count, min(_MOST_BLOCKS, count), endpoint=False).astype(int))
    while _neighbours_correlated(sums):
        if len(sums) < 2 * LEAST_BLOCKS:
            return None
        sums = np.add.reduceat(sums, np.arange(0, len(sums), 2))
    return _spread(sums)


def _spread(sums: npt.NDArray[np.float64]) -> Spread:
    blocks = len(sums)
    return Spread(blocks / (blocks - 1) * float(sums @ sums), blocks - 1)


def _neighbours_correlated(sums: npt.NDArray[np.float64]) -> bool:
    squares = float(sums @ sums)
    return squares > 0 and float(sums[1:] @ sums[:-1]) / squares * len(sums) ** 0.5 > _CORRELATED
