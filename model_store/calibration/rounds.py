"""Timing several ways to run a model in turns, so that all of them meet the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

WARM_UPS = 3
TURN_SECONDS = 0.005  # of one candidate in one round: short ones run repeatedly, for the clock's sake
MOST_ROUNDS = 100

Clock = Callable[[], float]


def time_rounds(
    runs: Sequence[Callable[[], object]], seconds: float, clock: Clock = time.perf_counter
) -> list[list[float]]:
    """Seconds of one inference, by candidate and round.

    Args:
        runs: one inference of each candidate.
        seconds: about how long to measure, without the first runs; there is one round at least.
        clock: of seconds.
    """
    repeats = [_warm_up(run, clock) for run in runs]
    times: list[list[float]] = [[] for _ in runs]
    end = clock() + seconds
    for number in range(MOST_ROUNDS):
        order = range(len(runs)) if number % 2 else reversed(range(len(runs)))  # nobody always follows the same one
        for candidate in order:
            times[candidate].append(_turn(runs[candidate], repeats[candidate], clock))
        if clock() >= end:
            break
    return times


def _warm_up(run: Callable[[], object], clock: Clock) -> int:
    """Run until the frameworks have settled; gives how many runs fill a turn."""
    last = min(_elapsed(run, clock) for _ in range(WARM_UPS))
    return max(1, round(TURN_SECONDS / max(last, 1e-6)))


def _turn(run: Callable[[], object], repeats: int, clock: Clock) -> float:
    if repeats > 1:
        run()  # the others emptied the caches
    return statistics.median(_elapsed(run, clock) for _ in range(repeats))


def _elapsed(run: Callable[[], object], clock: Clock) -> float:
    began = clock()
    run()
    return clock() - began
