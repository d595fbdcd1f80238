"""From the raw times of a race to the numbers people read."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from loadtest.clock import NS
from loadtest.frameworks.contestants import FRAMEWORKS, Absent, Broken
from loadtest.frameworks.race import Race
from loadtest.frameworks.racer import Racer
from loadtest.frameworks.results import BatchResult, FrameworkResult
from loadtest.frameworks.worker import Round
from loadtest.statistics.estimate import Estimate, Interval
from loadtest.statistics.ratios import ratio_of_quantiles
from loadtest.statistics.series import mean_estimate, quantile_estimates

_SHARES = (0.5, 0.9, 0.99)
_MEDIAN = 0.5

Segments = list[npt.NDArray[np.float64]]


def evaluate(race: Race, batches: Sequence[int]) -> tuple[FrameworkResult, ...]:
    """All frameworks in their usual order, with their ratios to the fastest at each batch size."""
    results = {one.framework: _left_out(one) for one in race.out}
    results |= {racer.contestant.framework: _framework(race, racer, batches) for racer in race.racers}
    found = [results[framework] for framework in FRAMEWORKS if framework in results]
    for batch in batches:
        found = _with_ratios(found, batch)
    return tuple(found)


def segments(result: BatchResult) -> Segments:
    """The times in seconds, one array a round."""
    return [np.array(times, np.float64) / NS for times in result.rounds_ns]


def fastest(results: Sequence[FrameworkResult], batch: int) -> FrameworkResult | None:
    """The framework with the least median; None when none was measured."""
    medians = {one.framework: at.p50.value for one in results if (at := one.at(batch)) is not None}
    return min(
        (one for one in results if one.framework in medians), key=lambda one: medians[one.framework], default=None
    )


def _left_out(one: Absent | Broken) -> FrameworkResult:
    if isinstance(one, Absent):
        return FrameworkResult(framework=one.framework, absent=one.reason)
    return FrameworkResult(framework=one.framework, problem=one.problem)


def _framework(race: Race, racer: Racer, batches: Sequence[int]) -> FrameworkResult:
    framework, ready = racer.contestant.framework, racer.ready
    result = FrameworkResult(framework=framework, runs=racer.contestant.runs, problem=racer.problem)
    if ready is None:
        return result
    measured = {batch: race.rounds.get((framework, batch), []) for batch in batches}
    every = [] if racer.problem else [one for done in measured.values() for one in done]
    return msgspec.structs.replace(
        result,
        version=ready.version,
        device=ready.device,
        load=ready.load,
        first_inference=ready.first_inference,
        memory_peak=racer.memory_peak,
        waited=_waited(every),
        largest_difference=race.differences.get(framework),
        batches=tuple(
            _batch(batch, done, race.warm_up.get((framework, batch)))
            for batch, done in measured.items()
            if done and not racer.problem
        ),
    )


def _batch(batch: int, done: Sequence[Round], warm_up: int | None) -> BatchResult:
    times = [np.array(one.times, np.float64) / NS for one in done]
    percentiles = quantile_estimates(times, _SHARES)
    return BatchResult(
        batch=batch,
        inferences=sum(len(one.times) for one in done),
        warm_up=warm_up,
        p50=percentiles[0.5],
        p90=percentiles[0.9],
        p99=percentiles[0.99],
        rows_per_second=_rate(mean_estimate(times), batch),
        rounds_ns=tuple(tuple(one.times) for one in done),
    )


def _rate(mean: Estimate, rows: int) -> Estimate:
    """Rows a second of one caller that waits for each answer."""
    interval = None
    if mean.interval is not None and mean.interval.low > 0:  # few and wild times have a mean anywhere from below 0
        interval = Interval(rows / mean.interval.high, rows / mean.interval.low)
    return Estimate(
        value=rows / mean.value, interval=interval, method=mean.method if interval else "", enough=mean.enough
    )


def _waited(done: Sequence[Round]) -> float | None:
    waits = [one.waited for one in done if one.waited is not None]
    return sum(waits) / sum(one.elapsed for one in done) if done and len(waits) == len(done) else None


def _with_ratios(results: list[FrameworkResult], batch: int) -> list[FrameworkResult]:
    best = fastest(results, batch)
    base = None if best is None else best.at(batch)
    if best is None or base is None:
        return results
    return [one if one is best else _with_ratio(one, base) for one in results]


def _with_ratio(result: FrameworkResult, base: BatchResult) -> FrameworkResult:
    own = result.at(base.batch)
    if own is None:
        return result
    # A run that was stopped has one round more of some: only those of both are side by side.
    pairs = min(len(own.rounds_ns), len(base.rounds_ns))
    ratio = ratio_of_quantiles(segments(own)[:pairs], segments(base)[:pairs], _MEDIAN)
    changed = msgspec.structs.replace(own, ratio=ratio)
    return msgspec.structs.replace(result, batches=tuple(changed if one is own else one for one in result.batches))
