"""Ratios of two targets that were measured side by side, in pairs of segments of the same moments.

What happened to the machine in a moment happened to both, so pairs are what is independent, not requests, and in the
ratio the common luck cancels. The value is the ratio of the merged percentiles (or of the sums of the rates); its
interval is that of the *jackknife*: how much the logarithm of the ratio changes when one pair is left out gives its
standard error, and Student's t with one degree of freedom for each pair but one the width. Leaving out whole segments
keeps the jackknife right for percentiles, for which leaving out single samples is not. "No difference" means that the
interval holds 1.

Limits: at least 6 pairs, and in each target at least 20 samples on the rarer side of the percentile; else there is no
interval. It is wide with few pairs: Student's t is 2.57 with 6 of them, 2.09 with 20.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loadtest.statistics.blocks import LEAST_BLOCKS, Spread
from loadtest.statistics.estimate import Estimate, Interval
from loadtest.statistics.quantiles import Times, least_samples, percentile

_LEAST_TAIL = 20

FloatArray = npt.NDArray[np.float64]


def ratio_of_quantiles(left: Sequence[Times], right: Sequence[Times], share: float) -> Estimate:
    """The ``share`` percentile of ``left`` divided by that of ``right``.

    Args:
        left: times, one array for each moment.
        right: times of the same moments in the same order; moments in which one has none are left out. At least one
            moment has both.
        share: between 0 and 1, both excluded.
    """
    pairs = [(one, other) for one, other in zip(left, right, strict=True) if len(one) and len(other)]
    above, below = (_percentiles([pair[side] for pair in pairs], share) for side in (0, 1))
    count = min(sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    ratios = above / below
    interval = _jackknife(ratios) if count * min(share, 1 - share) >= _LEAST_TAIL else None
    return _estimate(ratios, interval, enough=count >= least_samples(share))


def ratio_of_rates(left: Sequence[float], right: Sequence[float]) -> Estimate:
    """The mean of ``left`` divided by that of ``right``: rates of the same moments in the same order."""
    above, below = (np.asarray(rates, dtype=np.float64) for rates in (left, right))
    whole = above.sum() / below.sum()
    without = (above.sum() - above) / (below.sum() - below)
    ratios = np.concatenate(([whole], without))
    return _estimate(ratios, _jackknife(ratios), enough=True)


def _percentiles(segments: Sequence[Times], share: float) -> FloatArray:
    """The percentile of all segments, and then those without the first, the second and so on."""
    times = np.concatenate(segments)
    order = np.argsort(times)
    owner = np.repeat(np.arange(len(segments)), [len(segment) for segment in segments])[order]
    ordered = times[order].astype(np.float64)
    without = [ordered[owner != number] for number in range(len(segments))] if len(segments) > 1 else []
    return np.array([percentile(one, share) for one in (ordered, *without)])


def _jackknife(ratios: FloatArray) -> Interval | None:
    """Interval of the first of ``ratios`` from the others, which are those without each of the pairs."""
    pairs = len(ratios) - 1
    if pairs < LEAST_BLOCKS or not np.all((ratios > 0) & np.isfinite(ratios)):
        return None
    logarithms = np.log(ratios)
    changes = logarithms[1:] - logarithms[1:].mean()
    spread = Spread((pairs - 1) / pairs * float(changes @ changes), pairs - 1)
    margin = spread.factor * math.sqrt(spread.variance)
    return Interval(float(ratios[0]) * math.exp(-margin), float(ratios[0]) * math.exp(margin))


def _estimate(ratios: FloatArray, interval: Interval | None, *, enough: bool) -> Estimate:
    return Estimate(value=float(ratios[0]), interval=interval, method="jackknife" if interval else "", enough=enough)
