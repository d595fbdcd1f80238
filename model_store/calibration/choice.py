"""Which of several ways to run a model is faster, as far as the noise of a busy machine lets one say so."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

FASTER = 0.95  # less of a gain is not worth settings that differ from everybody's
NOT_SLOWER = 1.02
CONFIDENCE = 0.95


def choose(rounds: Sequence[Sequence[Sequence[float]]]) -> int:
    """The candidate to use; 0, the default, unless another is faster for certain.

    Candidates are compared round by round: what else the machine did then slowed all of them down.

    Args:
        rounds: times by batch size (the first decides), candidate (the first is the default) and round.
    """
    best, gain = 0, 1.0
    for candidate in range(1, len(rounds[0])):
        ratios = [_ratios(times[candidate], times[0]) for times in rounds]
        certain = bound_of_median(ratios[0]) < FASTER
        if certain and all(statistics.median(later) <= NOT_SLOWER for later in ratios[1:]):
            found = statistics.median(ratios[0])
            if found < gain:
                best, gain = candidate, found
    return best


def bound_of_median(values: Sequence[float]) -> float:
    """What the median of whatever ``values`` came from is below, with ``CONFIDENCE``; infinity for too few values.

    From the values' order alone, so that stray ones do no harm.
    """
    count = len(values)
    below = 0.0
    # The k-th largest value is below the median only when fewer than k of the values lie above it.
    for k in range(count):
        below += math.comb(count, k) / 2**count
        if below > 1 - CONFIDENCE:
            return sorted(values, reverse=True)[k - 1] if k else math.inf
    return math.inf


def _ratios(times: Sequence[float], default: Sequence[float]) -> list[float]:
    return [time / base for time, base in zip(times, default, strict=True)]
