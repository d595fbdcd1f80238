"""From raw blocks to rows. Samples of all blocks are merged; percentiles never are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from loadtest.clock import NS
from loadtest.load.loads import AnyLoad, Bursts, ClosedLoop, Constant, MultiStream, OpenLoop, Poisson
from loadtest.measure.gates import Facts, gates_of, warnings_of
from loadtest.measure.rates import throughput
from loadtest.measure.summary import SHARES, Gate, Row, Times
from loadtest.results.block import Block, Columns, IntArray, ServerTimes, add_server_times, failure_counts
from loadtest.results.report import PayloadEntry, Report, TargetResult
from loadtest.statistics.convergence import converged, parse_until
from loadtest.statistics.quantiles import percentile
from loadtest.statistics.series import mean_estimate, quantile_estimates
from loadtest.statistics.stationarity import stationarity
from loadtest.statistics.warm_up import warm_up_length
from loadtest.units import percent

Seconds = npt.NDArray[np.float64]


def summarise(report: Report, load: AnyLoad) -> list[Row]:
    """One row for each target of ``report`` under ``load``; a target that was not put under it has a problem."""
    return [summarise_target(report, target, load) for target in report.targets if _belongs(target, load)]


def settled_columns(blocks: Sequence[Block], load: AnyLoad) -> tuple[list[Columns], float | None]:
    """The requests of ``blocks`` without the warm-up at the start of the first, and its length in seconds.

    The length is None when the times never settle; then nothing is left out.
    """
    columns = [Columns.of(block) for block in blocks]
    if not columns or not _is_level(load) or not len(columns[0].scheduled):
        return columns, 0.0
    cold = warm_up_length(columns[0].response_time)
    if not cold:
        return columns, None if cold is None else 0.0
    seconds = float(columns[0].scheduled[cold]) / NS
    return [columns[0].after(cold), *columns[1:]], seconds


def _belongs(target: TargetResult, load: AnyLoad) -> bool:
    return bool(target.problem) or any(block.load == load.spec for block in target.blocks)


def summarise_target(report: Report, target: TargetResult, load: AnyLoad) -> Row:
    """The row of one ``target`` under ``load``."""
    blocks = [block for block in target.blocks if block.load == load.spec]
    void = next((block.void for block in blocks if block.void), "")
    good = [] if void else blocks
    columns, warm_up = settled_columns(good, load)
    response = [_per_query(one.response_time, one, load) for one in columns]
    lags = np.sort(np.concatenate([np.empty(0, np.int64), *(one.send_lag for one in columns)]))
    errors = failure_counts(blocks)
    answers = sum(len(one.scheduled) for one in columns)
    failed = sum(errors.values())
    steady = stationarity(response) if _is_level(load) else None
    send_lag = {share: percentile(lags, share) / NS for share in (0.5, 0.99, 1.0)} if len(lags) else {}
    times = _times(response)
    service = _times([_per_query(one.service_time, one, load) for one in columns])
    rate = throughput(good) if answers else None
    facts = Facts(
        load=load,
        interleaved=len(report.targets) > 1 and len(blocks) > 1,
        blocks=len(good),
        seconds=sum(block.window_seconds for block in good),
        answers=answers,
        failures=failed,
        offered=sum(block.offered for block in good),
        throughput=rate.value if rate else 0.0,
        service_mean=service.mean.value if service.mean else None,
        service_median=service.percentiles[0.5].value if service.percentiles else None,
        service_p99=service.percentiles[0.99].value if service.percentiles else None,
        send_lag_median=send_lag.get(0.5, 0.0),
        send_lag_p99=send_lag.get(0.99, 0.0),
        loop_lag_p99=max((block.health.loop_lag_p99 for block in good), default=0.0),
        generator_cpu=max((block.health.generator_cpu for block in blocks), default=0.0),
        connections_opened=sum(block.health.connections_opened for block in good),
        most_in_flight=sum(block.health.most_in_flight for block in good),
        ceiling=next((one.ceiling for one in report.calibrations if one.transport == target.protocol), None),
        forced=report.forced,
        steady_p=steady.p_value if steady else None,
        unsteady=steady.reason if steady and not steady.steady else "",
        settled=warm_up is not None,
        stolen_cpu=report.stolen_cpu,
        void=tuple(dict.fromkeys(block.void for block in blocks if block.void)),
        error_limit=report.error_limit,
    )
    rows_of = [entry.rows for entry in report.payloads]
    return Row(
        target=target,
        load=load,
        response=times,
        service=service,
        first_byte=_times([_per_query(one.first_byte, one, load) for one in columns]),
        response_times=np.sort(np.concatenate([np.empty(0), *response])),
        requests=answers,
        rows=sum(_inferences(one, target, rows_of) for one in columns),
        throughput=rate,
        offered=_offered(good) if isinstance(load, OpenLoop) else None,
        errors=errors,
        error_share=failed / (failed + answers) if failed else 0.0,
        details={kind: detail for block in blocks for kind, detail in block.details.items()},
        send_lag=send_lag,
        generator_cpu=facts.generator_cpu,
        warm_up=warm_up,
        steady=steady.steady if steady else None,
        gates=()
        if target.problem
        else (
            *gates_of(facts),
            *_convergence_gate(report.until, response),
            *_mlperf_gates(report, target, load),
        ),
        server_times=_summed(good),
        problem=target.problem or void,
        warnings=warnings_of(facts),
        by_model=_by_model(columns, target, report.payloads),
    )


def _convergence_gate(goal: str, segments: Sequence[Seconds]) -> Iterator[Gate]:
    """Whether the interval is as narrow as was asked for; else the time was over before."""
    filled = [segment for segment in segments if len(segment)]
    if not goal or not filled:
        return
    until = parse_until(goal)
    estimate = quantile_estimates(filled, [until.share])[until.share]
    reached = f"± {percent(estimate.precision)}" if estimate.precision is not None else "no interval"
    yield Gate("convergence", converged(estimate, until), f"not converged: {goal} was asked for, reached is {reached}")


def _mlperf_gates(report: Report, target: TargetResult, load: AnyLoad) -> Iterator[Gate]:
    """LoadGen's own verdict, where it made the load."""
    for one in report.mlperf:
        if (one.target, one.load) == (target.name, load.spec):
            yield Gate("MLPerf LoadGen", not one.invalid, "; ".join(one.invalid) or "LoadGen accepts the result")


def _is_level(load: AnyLoad) -> bool:
    """Whether times ought to stay the same: not where the rate changes, nor where a backlog is asked for."""
    return isinstance(load, ClosedLoop | MultiStream | Constant | Poisson | Bursts)


def _per_query(times: IntArray, columns: Columns, load: AnyLoad) -> Seconds:
    """``times`` in seconds; the greatest of each query under MLPerf's multi-stream."""
    if not isinstance(load, MultiStream) or not len(times):
        return times / NS
    _, first = np.unique(columns.scheduled, return_index=True)
    greatest: Seconds = np.maximum.reduceat(times, first) / NS
    return greatest


def _times(segments: Sequence[Seconds]) -> Times:
    filled = [segment for segment in segments if len(segment)]
    if not filled:
        return Times(None, {})
    return Times(mean_estimate(filled), quantile_estimates(filled, SHARES))


def _offered(blocks: Sequence[Block]) -> float:
    seconds = sum(block.window_seconds for block in blocks)
    return sum(block.offered for block in blocks) / seconds if seconds else 0.0


def _inferences(columns: Columns, target: TargetResult, rows_of: Sequence[int]) -> int:
    counts = np.bincount(columns.payload + target.first_payload, minlength=len(rows_of))
    return int(np.dot(counts, np.array(rows_of, dtype=np.int64))) if rows_of else len(columns.payload)


def _by_model(columns: Sequence[Columns], target: TargetResult, payloads: Sequence[PayloadEntry]) -> dict[str, Times]:
    """Response times of each model; empty where only one was asked."""
    asked = {int(number) + target.first_payload for one in columns for number in np.unique(one.payload)}
    models = dict.fromkeys(payloads[number].model for number in sorted(asked))
    if len(models) < 2:
        return {}
    of_payload = np.array([payload.model for payload in payloads])
    return {
        model: _times(
            [one.response_time[of_payload[one.payload + target.first_payload] == model] / NS for one in columns]
        )
        for model in models
    }


def _summed(blocks: Sequence[Block]) -> tuple[ServerTimes, ...]:
    """The blocks' server times, added up for each source."""
    sums: dict[str, ServerTimes] = {}
    for one in (times for block in blocks for times in block.server_times):
        sums[one.source] = add_server_times(sums[one.source], one) if one.source in sums else one
    return tuple(sums.values())
