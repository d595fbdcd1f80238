"""Whether the times stayed the same over the run: a test that can fail, and that does not fail for nothing.

*Drifts and steps.* The run is cut into 16 slices in time order, or into the segments of an interleaved experiment when
there are at least 6 of them. The level of a slice is the mean rank of its samples (ranks, so that no outlier decides).
On a steady server the order of the slices says nothing: the greatest cumulated sum of the levels' deviations from their
mean (CUSUM) is compared with that of random permutations of the same levels, which needs no assumption about their
distribution.

*Waves.* In a continuous run, ``loadtest.statistics.waves`` looks for periodic degradation.

A server is called unsteady when the smaller of the two p-values, doubled, is below 2 % **and** the difference is of
practical size: with a million samples a difference of a microsecond is significant, and means nothing. Practical is at
least 5 %: between the medians of the first and the last third of the run or, for a hump, those of the slower and the
faster half of its slices; for a wave, between the medians of its high and its low half.

Limits: only the level is looked at, not the tail alone. A hump right in the middle of the run is easily missed, because
what comes before and after it cancels out. Dependence over more than about a twentieth of a slice makes
slices resemble their neighbours and false alarms more frequent: an M/M/1 server at 80 % load needs 3,000 samples to be
called steady in 95 % of runs. With fewer than 40 samples in a slice of a continuous run nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadtest.statistics.blocks import interleaved
from loadtest.statistics.dependence import centred_ranks
from loadtest.statistics.quantiles import Times
from loadtest.statistics.waves import fold, most_conspicuous_wave

_SLICES = 16
_LEAST_SLICE = 40
_LEVEL = 0.02
_PRACTICAL = 0.05
_PERMUTATIONS = 2000

FloatArray = npt.NDArray[np.float64]


class Stationarity(NamedTuple):
    """What the test says.

    Attributes:
        steady: whether the times stayed the same, as far as it can tell.
        p_value: how often a steady server would seem so uneven or more.
        reason: a sentence that says what was seen.
    """

    steady: bool
    p_value: float
    reason: str


class _Sign(NamedTuple):
    """Something uneven: how often chance has it, by what share of the lesser one medians differ, and in words."""

    p_value: float
    change: float
    words: str


def stationarity(segments: Sequence[Times]) -> Stationarity | None:
    """Judge times in time order, in one segment or several; None: too few to say."""
    if not interleaved(segments) and sum(len(segment) for segment in segments) < _SLICES * _LEAST_SLICE:
        return None
    times = np.concatenate(segments).astype(np.float64)
    ranks = centred_ranks(times)
    if interleaved(segments):
        signs = [_drift([segment.astype(np.float64) for segment in segments if len(segment)], ranks)]
    else:
        signs = [_drift(np.array_split(times, _SLICES), ranks), _wave(times, ranks)]
    p_value = min(min(sign.p_value for sign in signs) * len(signs), 1.0)
    significant = [sign for sign in signs if sign.p_value * len(signs) < _LEVEL]
    for sign in significant:
        if sign.change >= _PRACTICAL:
            return Stationarity(False, p_value, sign.words)
    if significant:
        change = max(sign.change for sign in significant)
        return Stationarity(True, p_value, f"medians of parts of the run differ by {change:.1%} only")
    return Stationarity(True, p_value, "parts of the run differ by no more than chance has it")


def _drift(slices: Sequence[FloatArray], ranks: FloatArray) -> _Sign:
    """A drift, step or hump over the run."""
    lengths = np.array([len(one) for one in slices])
    levels = np.add.reduceat(ranks, np.cumsum(lengths) - lengths) / lengths
    p_value = _chance_of_order(levels - levels.mean())
    third = max(len(slices) // 3, 1)
    first, last = _median(slices[:third]), _median(slices[-third:])
    change = _relative(first, last)
    if change >= _PRACTICAL:
        verb, share = ("rose", last / first - 1) if last > first else ("fell", 1 - last / first)
        return _Sign(p_value, change, f"the median {verb} by {share:.0%} from the first to the last third")
    order = np.argsort(levels, kind="stable")
    half = len(slices) // 2
    change = _relative(*(_median([slices[number] for number in part]) for part in (order[:half], order[-half:])))
    return _Sign(p_value, change, f"the median of the slower half of the run is {change:.0%} above that of the faster")


def _wave(times: FloatArray, ranks: FloatArray) -> _Sign:
    """Periodic degradation."""
    wave = most_conspicuous_wave(ranks)
    change = _relative(*(float(np.median(part)) for part in fold(times, wave.cycles)))
    return _Sign(wave.p_value, change, f"the median rose and fell by {change:.0%} {wave.cycles} times in the run")


def _chance_of_order(levels: FloatArray) -> float:
    """How often a random order of ``levels`` (of mean 0) has a cumulated sum as great as theirs."""
    random = np.random.default_rng(0)
    orders = random.permuted(np.tile(levels, (_PERMUTATIONS, 1)), axis=1)
    greatest = np.abs(np.cumsum(np.vstack([levels, orders]), axis=1)).max(axis=1)
    return float(np.mean(greatest >= greatest[0] - 1e-12))  # equal but for rounding is equal


def _median(parts: Sequence[FloatArray]) -> float:
    return float(np.median(np.concatenate(parts)))


def _relative(one: float, other: float) -> float:
    low, high = sorted((one, other))
    if low == high:
        return 0.0
    return high / low - 1 if low > 0 else float("inf")
