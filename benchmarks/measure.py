"""Measures servers side by side: blocks that take turns, and ratios to the direct calls of the same moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from benchmarks.errors import Interrupted
from benchmarks.matrix import MODEL, Effort, Form, Size
from benchmarks.results import Cell
from benchmarks.watched import Usage, Watched
from benchmarks.ways import GATEWAY, Server
from loadtest.clock import open_clock
from loadtest.load.loads import ClosedLoop
from loadtest.load.seeds import Seeds
from loadtest.measure.rates import block_rate
from loadtest.measure.settings import Settings
from loadtest.measure.summarise import summarise_target
from loadtest.payloads.sources import workload_of
from loadtest.payloads.workload import Workload
from loadtest.progress import Progress
from loadtest.results.block import Block, Columns
from loadtest.results.report import Report, TargetResult
from loadtest.scenarios.measure import measure_subjects
from loadtest.scenarios.plan import Plan
from loadtest.statistics.estimate import Estimate
from loadtest.statistics.ratios import ratio_of_quantiles, ratio_of_rates
from loadtest.targets.target import Target
from model_store.store import ModelStore

_PAYLOADS = 4  # different ones, so that no cache of the processor answers
_SEEDS = Seeds.of(7)
_TIMEOUT = 60.0


@dataclass(slots=True)
class Found:
    """Of one form and size: a cell for each server and load, and how far each server's answers are from the direct."""

    cells: list[Cell] = field(default_factory=list)
    differences: dict[str, float | None] = field(default_factory=dict)


async def measure_form(
    servers: Sequence[Server],
    form: Form,
    size: Size,
    *,
    store: ModelStore,
    effort: Effort,
    progress: Progress,
) -> Found:
    """Put ``form`` with ``size`` to ``servers``, the first of which is the one that others are compared with.

    Raises:
        Interrupted: after a cancellation.
    """
    workload = _workload(store, size)
    loads = [ClosedLoop(concurrency=number) for number in effort.connections]
    plan = Plan(
        scenario="benchmark",
        subjects=[(target_of(server, form), workload) for server in servers],
        loads=loads,
        settings=Settings(
            seconds=effort.window * effort.blocks,
            repetitions=effort.blocks,
            timeout=_TIMEOUT,
            most_in_flight=max(effort.connections),
            seeds=_SEEDS,
        ),
    )
    with open_clock() as clock, open_clock() as lag_clock:
        subjects = [
            Watched(target, workload, plan.settings, clock, lag_clock, 0, pid=server.pid)
            for server, (target, workload) in zip(servers, plan.subjects, strict=True)
        ]
        report = await measure_subjects(plan, subjects, progress=progress)
    if report.interrupted:
        raise Interrupted
    length = len(workload.payloads[0].request.inputs[0].data)
    found = Found(differences={target.name: target.largest_difference for target in report.targets})
    for load in loads:
        for subject, target in zip(subjects, report.targets, strict=True):
            usage = subject.usage.get(load.spec, Usage())
            cell = _cell(report, target, load, usage)
            found.cells.append(structs.replace(cell, form=form.name, size=size.name, bytes=length))
    return found


def ratios(direct: Sequence[Block], other: Sequence[Block]) -> tuple[Estimate | None, Estimate | None]:
    """Of the throughput and of the median response time, ``other`` ÷ ``direct``; from blocks of the same rounds."""
    pairs = list(_pairs(direct, other))
    if not pairs:
        return None, None
    rates = ratio_of_rates(*([block_rate(pair[side]) for pair in pairs] for side in (1, 0)))
    times = [tuple(Columns.of(block).response_time for block in pair) for pair in pairs]
    both = [pair for pair in times if len(pair[0]) and len(pair[1])]
    medians = ratio_of_quantiles([pair[1] for pair in both], [pair[0] for pair in both], 0.5) if both else None
    return rates, medians


def _pairs(direct: Sequence[Block], other: Sequence[Block]) -> Iterator[tuple[Block, Block]]:
    by_round = {block.repetition: block for block in direct}
    for block in other:
        straight = by_round.get(block.repetition)
        if straight is not None and block_rate(straight) and block_rate(block):
            yield straight, block


def _cell(report: Report, target: TargetResult, load: ClosedLoop, usage: Usage) -> Cell:
    row = summarise_target(report, target, load)
    first = report.targets[0]
    blocks = [[block for block in one.blocks if block.load == load.spec] for one in (first, target)]
    rate_ratio, p50_ratio = ratios(*blocks) if target is not first else (None, None)
    problem = row.problem or ("" if row.requests else "no answer in the window")
    return Cell(
        server=target.name,
        connections=load.concurrency,
        requests=row.requests,
        p50=row.response.percentiles.get(0.5),
        p99=row.response.percentiles.get(0.99),
        throughput=row.throughput,
        rate_ratio=rate_ratio,
        p50_ratio=p50_ratio,
        cpu=usage.cpu / usage.requests if usage.requests else None,
        resident=usage.resident,
        peak=usage.peak,
        errors=sum(row.errors.values()),
        invalid=row.invalid,
        warnings=row.warnings,
        problem=problem,
    )


def _workload(store: ModelStore, size: Size) -> Workload:
    whole = workload_of(MODEL, store, batch=size.rows)
    return Workload(whole.payloads[:_PAYLOADS])


def target_of(server: Server, form: Form) -> Target:
    """Where ``form`` of ``server`` is asked."""
    return Target(
        backend=server.name,
        server=server.version,
        via="gateway" if server.name == GATEWAY else "direct",
        protocol=form.protocol,
        wire=form.wire,
        address=server.http if form.protocol == "HTTP" else server.grpc,
        name=server.name,
    )
