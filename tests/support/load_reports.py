"""Reports of the load tester with made-up requests, and their digests; the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from loadtest.load.loads import AnyLoad, ClosedLoop, Poisson
from loadtest.load.seeds import Seeds
from loadtest.measure.summary import SHARES, Gate, Row, Times
from loadtest.measure.verdict import MetricVerdict, Verdict
from loadtest.report.digest import Digest, LoadDigest
from loadtest.results.block import Block, Columns, Health, ServerTimes, failure_counts, pack
from loadtest.results.environment import Environment
from loadtest.results.report import Calibration, PayloadEntry, Report, TargetResult
from loadtest.results.search import SearchResult, Trial
from loadtest.statistics.estimate import Estimate, Interval
from loadtest.statistics.quantiles import LEAST_SAMPLES, percentile, quantile_interval

NS = 1_000_000_000
LOADS: tuple[AnyLoad, ...] = (
    ClosedLoop(concurrency=1),
    ClosedLoop(concurrency=8),
    ClosedLoop(concurrency=64),
    Poisson(rate=300.0),
)


def make_block(load: AnyLoad, times_ms: Any, *, seconds: float = 1.0, repetition: int = 0, **fields: Any) -> Block:
    """A block whose requests were due evenly over the window and took ``times_ms``."""
    response = np.asarray(np.asarray(times_ms, dtype=np.float64) * 1e6, dtype=np.int64)
    count = len(response)
    scheduled = (np.arange(count) * (seconds * NS / max(count, 1))).astype(np.int64)
    lag = np.asarray(fields.pop("lag_ms", np.zeros(count)) * 1e6, dtype=np.int64)
    failed_at = np.asarray(fields.pop("failed_at_s", ()), dtype=np.float64) * NS
    defaults: dict[str, Any] = {
        "offered": count + len(failed_at),
        "failures": ("HTTP 503",) if len(failed_at) else (),
        "health": Health(generator_cpu=0.2, most_in_flight=8),
    }
    return Block(
        load=load.spec,
        repetition=repetition,
        window_seconds=seconds,
        payload=pack(np.arange(count, dtype=np.int64) % 4),
        scheduled=pack(scheduled),
        send_lag=pack(lag),
        first_byte=pack(response * 9 // 10),
        response_time=pack(response),
        failed_at=pack(failed_at.astype(np.int64)),
        failed_kind=pack(np.zeros(len(failed_at), dtype=np.int64)),
        **(defaults | fields),
    )


def make_report(*, seed: int = 1, speed: float = 1.0, loads: tuple[AnyLoad, ...] = LOADS, **fields: Any) -> Report:
    """Three targets of two servers, 10 seconds under each load; one has errors, one has few times."""
    random = np.random.default_rng(seed)
    targets = (
        _target("onnxruntime", "gateway", "HTTP", 1.0 / speed, loads, random),
        _target("onnxruntime", "direct", "HTTP", 0.8 / speed, loads, random),
        _target("tensorflow <2>", "gateway", "gRPC", 2.2 / speed, loads, random, fails=True),
    )
    known: dict[str, Any] = {
        "scenario": "compare",
        "model": "digits-mlp",
        "version": "1",
        "payloads": tuple(
            PayloadEntry(
                model="digits-mlp", version="1", label=f"digit-{n}.npy", rows=1, weight=1.0, sha256=f"{n:064x}"
            )
            for n in range(4)
        ),
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 10.0,
        "seeds": Seeds(arrivals=11, samples=22, payloads=33),
        "timeout": 30.0,
        "most_in_flight": 10_000,
        "interrupted": False,
        "stolen_cpu": 0.002,
        "environment": Environment(
            cpu="Some CPU @ 2.60GHz",
            cores=2,
            memory_gib=8.0,
            system="Linux 6.1",
            python="3.11.9",
            threads={"OMP_NUM_THREADS": "1"},
            versions={"grpcio": "1.80.0", "numpy": "2.3.1"},
            git_sha="0123456789abcdef0123456789abcdef01234567-dirty",
            models={"digits-mlp/1": "ab" * 32},
        ),
        "calibrations": (Calibration(transport="HTTP", ceiling=31_234.0, floor_p50=60e-6, floor_p99=150e-6),),
        "loads": loads,
        "targets": targets,
    }
    return Report(**(known | fields))


def make_search() -> SearchResult:
    """A search that doubled, bisected and validated, with one trial that was not valid."""
    tried = [("double", 100.0, True), ("double", 200.0, True), ("double", 400.0, False), ("bisect", 300.0, True)]
    tried += [("bisect", 350.0, False), ("bisect", 325.0, True), ("validate", 325.0, True), ("validate", 325.0, None)]
    return SearchResult(
        target="onnxruntime gateway HTTP",
        slo="p99<50ms,errors<0.1%",
        low=325.0,
        high=350.0,
        reason="the rates are 8 % apart",
        trials=tuple(
            Trial(
                rate=rate,
                stage=stage,
                met=met,
                reason="" if met is not None else "sent late",
                arrivals_seed=n,
                seconds=5.0,
            )
            for n, (stage, rate, met) in enumerate(tried)
        ),
    )


def make_row(report: Report, target: TargetResult, load: AnyLoad, **fields: Any) -> Row:
    """Simple statistics of the target's blocks under ``load``, with intervals as if times were independent."""
    blocks = [block for block in target.blocks if block.load == load.spec]
    columns = [Columns.of(block) for block in blocks]

    def joined(name: str) -> Any:
        return np.sort(np.concatenate([np.empty(0), *(getattr(one, name) / NS for one in columns)]))

    response, lags = joined("response_time"), joined("send_lag")
    seconds = sum(block.window_seconds for block in blocks) or 1.0
    errors = failure_counts(blocks)
    failed = sum(errors.values())
    rate = len(response) / seconds
    known: dict[str, Any] = {
        "target": target,
        "load": load,
        "response": make_times(response),
        "service": make_times(joined("service_time")),
        "first_byte": make_times(joined("first_byte")),
        "response_times": response,
        "requests": len(response),
        "rows": len(response),
        "throughput": Estimate(value=rate, interval=Interval(rate * 0.99, rate * 1.01), method="batch means")
        if len(response)
        else None,
        "offered": (len(response) + failed) / seconds if isinstance(load, Poisson) else None,
        "errors": errors,
        "error_share": failed / max(failed + len(response), 1),
        "details": dict.fromkeys(errors, "no healthy <backend> is left"),
        "send_lag": {share: percentile(lags, share) for share in (0.5, 0.99, 1.0)} if len(lags) else {},
        "generator_cpu": max((block.health.generator_cpu for block in blocks), default=0.0),
        "warm_up": 0.0,
        "steady": True,
        "gates": (Gate("send lag", True, "sent 0.1 ms late at p99; the limit is 1 ms"),),
        "server_times": _server_times(target, response) if len(response) else (),
        "problem": target.problem,
        "warnings": (),
    }
    return Row(**(known | fields))


def make_times(ordered: Any) -> Times:
    """Percentiles of ascending times."""
    if not len(ordered):
        return Times(None, {})
    return Times(
        Estimate(value=float(np.mean(ordered))),
        {
            share: Estimate(
                value=percentile(ordered, share),
                interval=(found := quantile_interval(ordered, share)),
                method="order statistics" if found else "",
                enough=len(ordered) >= LEAST_SAMPLES[share],
            )
            for share in SHARES
        },
    )


def make_digest(report: Report | None = None, **fields: Any) -> Digest:
    """Digest of ``report`` (of ``make_report()`` without one); ``fields`` are those of every row."""
    report = report or make_report()
    loads = []
    for load in report.loads:
        rows = tuple(make_row(report, target, load, **fields) for target in report.targets)
        best = report.targets[0].name
        sentence = f"p50: {best} is 1.25 times as fast as the slowest (95 % CI 1.21–1.29)."
        metric = MetricVerdict(metric="p50", best=best, comparisons=(), sentence=sentence)
        verdict = Verdict(load=load.spec, metrics=(metric,), left_out={}, method="Intervals hold together.")
        loads.append(LoadDigest(load, rows, verdict))
    return Digest(report, tuple(loads))


def with_invalid(digest: Digest, reason: str = "sent 4.2 ms late at p99; the limit is 1 ms") -> Digest:
    """The digest with the first row of the first load INVALID."""
    first, *others = digest.loads
    row = replace(first.rows[0], gates=(Gate("send lag", False, reason),))
    return replace(digest, loads=(replace(first, rows=(row, *first.rows[1:])), *others))


def with_target(report: Report, index: int, **fields: Any) -> Report:
    """The report with one target changed."""
    targets = list(report.targets)
    targets[index] = msgspec.structs.replace(targets[index], **fields)
    return msgspec.structs.replace(report, targets=tuple(targets))


def _target(
    backend: str, via: str, protocol: str, scale: float, loads: tuple[AnyLoad, ...], random: Any, *, fails: bool = False
) -> TargetResult:
    blocks = [_block(load, repetition, scale, random, fails) for load in loads for repetition in range(10)]
    return TargetResult(
        name=f"{backend} {via} {protocol}",
        backend=backend,
        server=f"{backend.split(maxsplit=1)[0].title()} 1.23",
        via=via,
        protocol=protocol,
        wire="oip",
        largest_difference=1e-6,
        blocks=tuple(blocks),
    )


def _block(load: AnyLoad, repetition: int, scale: float, random: Any, fails: bool) -> Block:
    if isinstance(load, Poisson):
        count = int(load.rate)
        lag = random.exponential(0.05, count) + 0.01
        wait = random.exponential(2.0, count) * (random.random(count) < 0.3)
        times = scale * (0.6 + random.gamma(2.0, 0.2, count)) + lag + wait
        stall = repetition == 4
        times = times + (300 * np.linspace(1, 0, count) if stall else 0)
        lag = lag + (wait + 250 * np.linspace(1, 0, count) * stall)
    else:
        busy = getattr(load, "concurrency", 1)
        per_request = scale * (0.6 + 0.45 * max(busy - 3, 0) + random.gamma(2.0, 0.2))
        count = int(min(1000 / per_request * busy, 600 + 20 * busy))
        times = per_request * (0.7 + random.gamma(3.0, 0.1, count))
        lag = np.full(count, 0.01)
    failed = random.random(7) if fails and repetition in (3, 7) else ()
    return make_block(load, times, repetition=repetition, lag_ms=lag, failed_at_s=failed)


def _server_times(target: TargetResult, response: Any) -> tuple[ServerTimes, ...]:
    count = len(response)
    total = float(np.sum(response)) * 0.98
    if target.via == "direct":
        seconds = {"queue": total * 0.2, "compute": total * 0.5}
        return (ServerTimes(source="OIP statistics", requests=count, seconds=seconds),)
    shares = {"gateway": 0.08, "queue": 0.1, "batch": 0.15, "backend": 0.5}
    seconds = {name: share * total for name, share in shares.items()}
    return (ServerTimes(source="Server-Timing", requests=count, seconds=seconds, total=total),)
