"""The summary of a report for programs: everything that tables and pages say; times in seconds, rates a second."""

from __future__ import annotations

from loadtest.load.loads import AnyLoad
from loadtest.load.seeds import Seeds
from loadtest.measure.summary import Row, Times
from loadtest.measure.verdict import Verdict
from loadtest.report.digest import Digest, LoadDigest
from loadtest.results.block import ServerTimes, Struct
from loadtest.results.environment import Environment
from loadtest.results.report import Calibration, PayloadEntry
from loadtest.results.search import SearchResult
from loadtest.statistics.estimate import Estimate
from loadtest.units import percentile_name

SUMMARY_FORMAT = 1


class TimesSummary(Struct, frozen=True):
    """Statistics of one kind of time (s); ``percentiles`` by name, such as ``p99.9``. Empty without any times."""

    mean: Estimate | None
    percentiles: dict[str, Estimate]


class GateSummary(Struct, frozen=True):
    """A condition of validity; ``reason`` has the measured value and the limit."""

    name: str
    passed: bool
    reason: str


class TargetSummary(Struct, frozen=True):
    """One target under one load.

    Attributes:
        valid: whether every gate passed.
        problem: why the numbers are missing or void; empty when they are not.
        requests: good answers that were due in the windows.
        rows: inferences in those answers.
        throughput: good answers a second.
        offered: requests a second that were due; null in closed loops.
        response: from due to done: the headline.
        service: from sent to done.
        first_byte: from due to the first byte of the answer.
        errors: failed requests by kind.
        error_share: failed share of all requests.
        details: what the server said the first time, by kind of failure.
        send_lag: percentiles (s) of how late requests were sent: p50, p99 and p100.
        generator_cpu: the generator's share of one core, in its busiest block.
        warm_up: seconds left out at the start; null when the times never settled.
        steady: whether the times stayed the same over the run; null when there are too few to say.
        server_times: where the time went, as the servers say, summed over requests.
        by_model: response times of each model, where the workload is a mix of several.
        largest_difference: of its answers from those of the majority of the targets; null when not compared.
    """

    name: str
    backend: str
    server: str
    via: str
    protocol: str
    wire: str
    valid: bool
    problem: str
    warnings: tuple[str, ...]
    requests: int
    rows: int
    throughput: Estimate | None
    offered: float | None
    response: TimesSummary
    service: TimesSummary
    first_byte: TimesSummary
    errors: dict[str, int]
    error_share: float
    details: dict[str, str]
    send_lag: dict[str, float]
    generator_cpu: float
    warm_up: float | None
    steady: bool | None
    gates: tuple[GateSummary, ...]
    server_times: tuple[ServerTimes, ...]
    by_model: dict[str, TimesSummary]
    largest_difference: float | None


class LoadSummary(Struct, frozen=True):
    """All targets under one load.

    Attributes:
        spec: the load as it is written on the command line.
        title: the load in words.
        verdict: the comparison of the targets.
        sentences: the verdict in words.
    """

    spec: str
    title: str
    load: AnyLoad
    targets: tuple[TargetSummary, ...]
    verdict: Verdict
    sentences: tuple[str, ...]


class Summary(Struct, frozen=True):
    """What ``loadtest … --json`` prints.

    Attributes:
        valid: whether every gate of every target passed.
        started: ISO 8601, UTC.
        seconds: measured for each target and load; the cap where it stops when intervals are narrow.
        until: what it stops at, such as ``p99:5%``; empty: after ``seconds``.
        stolen_cpu: share of the machine's CPU time that its host gave to others meanwhile.
        workers: hosts that made the load; empty: the one that ran the command.
        search: what a search for the highest rate found; null without one.
    """

    scenario: str
    model: str
    version: str
    valid: bool
    interrupted: bool
    started: str
    seconds: float
    until: str
    seeds: Seeds
    stolen_cpu: float
    environment: Environment
    calibrations: tuple[Calibration, ...]
    workers: tuple[str, ...]
    payloads: tuple[PayloadEntry, ...]
    loads: tuple[LoadSummary, ...]
    search: SearchResult | None
    format: int = SUMMARY_FORMAT


def summary_document(digest: Digest) -> Summary:
    """The summary of ``digest``."""
    report = digest.report
    return Summary(
        scenario=report.scenario,
        model=report.model,
        version=report.version,
        valid=digest.valid,
        interrupted=report.interrupted,
        started=report.started,
        seconds=report.seconds,
        until=report.until,
        seeds=report.seeds,
        stolen_cpu=report.stolen_cpu,
        environment=report.environment,
        calibrations=report.calibrations,
        workers=report.workers,
        payloads=report.payloads,
        loads=tuple(_load(one) for one in digest.loads),
        search=report.search,
    )


def _load(one: LoadDigest) -> LoadSummary:
    return LoadSummary(
        spec=one.load.spec,
        title=one.load.title,
        load=one.load,
        targets=tuple(_target(row) for row in one.rows),
        verdict=one.verdict,
        sentences=one.verdict.sentences,
    )


def _target(row: Row) -> TargetSummary:
    target = row.target
    return TargetSummary(
        name=target.name,
        backend=target.backend,
        server=target.server,
        via=target.via,
        protocol=target.protocol,
        wire=target.wire,
        valid=not row.invalid,
        problem=row.problem,
        warnings=row.warnings,
        requests=row.requests,
        rows=row.rows,
        throughput=row.throughput,
        offered=row.offered,
        response=_times(row.response),
        service=_times(row.service),
        first_byte=_times(row.first_byte),
        errors=row.errors,
        error_share=row.error_share,
        details=row.details,
        send_lag={percentile_name(share): seconds for share, seconds in row.send_lag.items()},
        generator_cpu=row.generator_cpu,
        warm_up=row.warm_up,
        steady=row.steady,
        gates=tuple(GateSummary(name=gate.name, passed=gate.passed, reason=gate.reason) for gate in row.gates),
        server_times=row.server_times,
        by_model={model: _times(times) for model, times in row.by_model.items()},
        largest_difference=target.largest_difference,
    )


def _times(times: Times) -> TimesSummary:
    percentiles = {percentile_name(share): estimate for share, estimate in times.percentiles.items()}
    return TimesSummary(mean=times.mean, percentiles=percentiles)
