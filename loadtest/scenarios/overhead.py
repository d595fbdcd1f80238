"""What the gateway costs: the same calls through it and directly, in paired blocks of the same moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from loadtest.clock import NS
from loadtest.measure.rates import block_rate, throughput
from loadtest.results.block import Block, Columns
from loadtest.results.report import Report, TargetResult
from loadtest.statistics.estimate import Interval
from loadtest.statistics.quantiles import percentile, quantile_interval
from loadtest.targets.target import Target
from loadtest.units import millisecond_interval, milliseconds, per_second

LATENCY_CONCURRENCY = 1
THROUGHPUT_CONCURRENCY = 64
SCENARIO = "overhead"


class Overhead(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's price over one protocol; times in seconds, rates a second.

    Attributes:
        added_median: median over the pairs of blocks of (median through the gateway − median of direct calls).
        throughput_ratio: median over the pairs of blocks of (rate through the gateway ÷ rate of direct calls).
    """

    protocol: str
    gateway_median: float
    direct_median: float
    added_median: float
    added_interval: Interval | None
    gateway_throughput: float
    direct_throughput: float
    throughput_ratio: float
    ratio_interval: Interval | None


def paired(targets: Sequence[Target]) -> list[Target]:
    """The ``targets`` whose protocol is spoken both ways, through the gateway and directly."""
    both = set.intersection(*({one.protocol for one in targets if one.via == via} for via in ("gateway", "direct")))
    return [target for target in targets if target.protocol in both]


def overheads(report: Report) -> list[Overhead]:
    """The gateway's price over each protocol that was measured both ways, with one connection and with 64."""
    by_way = {(target.via, target.protocol): target for target in report.targets if not target.problem}
    protocols = dict.fromkeys(target.protocol for target in report.targets)
    found = [
        _overhead(protocol, by_way["gateway", protocol], by_way["direct", protocol])
        for protocol in protocols
        if ("gateway", protocol) in by_way and ("direct", protocol) in by_way
    ]
    return [overhead for overhead in found if overhead]


def markdown(report: Report) -> str:
    """The overheads as a Markdown table for a README."""
    columns = overheads(report)
    if not columns:
        return ""
    backend = report.targets[0].backend
    rows: list[tuple[str, Callable[[Overhead], str]]] = [
        ("p50, 1 connection, direct", lambda one: f"{milliseconds(one.direct_median)} ms"),
        ("p50, 1 connection, gateway", lambda one: f"{milliseconds(one.gateway_median)} ms"),
        ("**gateway adds, ms** (95 % CI)", lambda one: _with_interval(one.added_median, one.added_interval)),
        ("requests/s, 64 in flight, direct", lambda one: per_second(one.direct_throughput)),
        ("requests/s, 64 in flight, gateway", lambda one: per_second(one.gateway_throughput)),
        ("**ratio gateway ÷ direct** (95 % CI)", _ratio),
    ]
    lines = [
        _line([f"{report.model}, {backend}", *(one.protocol for one in columns)]),
        _line(["---", *["---:"] * len(columns)]),
        *(_line([title, *(cell(one) for one in columns)]) for title, cell in rows),
    ]
    return "\n".join(lines)


def _overhead(protocol: str, gateway: TargetResult, direct: TargetResult) -> Overhead | None:
    slow = _pairs(gateway, direct, LATENCY_CONCURRENCY)
    busy = _pairs(gateway, direct, THROUGHPUT_CONCURRENCY)
    if not slow or not busy:
        return None
    added = [_median([through]) - _median([straight]) for through, straight in slow]
    ratios = [block_rate(through) / block_rate(straight) for through, straight in busy]
    return Overhead(
        protocol=protocol,
        gateway_median=_median([through for through, _ in slow]),
        direct_median=_median([straight for _, straight in slow]),
        added_median=float(np.median(added)),
        added_interval=quantile_interval(added),
        gateway_throughput=_rate([through for through, _ in busy]),
        direct_throughput=_rate([straight for _, straight in busy]),
        throughput_ratio=float(np.median(ratios)),
        ratio_interval=quantile_interval(ratios),
    )


def _median(blocks: Sequence[Block]) -> float:
    return percentile(np.sort(np.concatenate([Columns.of(block).response_time for block in blocks])), 0.5) / NS


def _rate(blocks: Sequence[Block]) -> float:
    estimate = throughput(blocks)
    return estimate.value if estimate else 0.0


def _pairs(gateway: TargetResult, direct: TargetResult, concurrency: int) -> list[tuple[Block, Block]]:
    """Blocks of the same repetition, where both have answers that were due in their windows."""
    through, straight = (
        {
            block.repetition: block
            for block in target.blocks
            if block.load == f"closed:{concurrency}" and len(Columns.of(block).scheduled)
        }
        for target in (gateway, direct)
    )
    return [(through[repetition], straight[repetition]) for repetition in through if repetition in straight]


def _with_interval(seconds: float, interval: Interval | None) -> str:
    return f"{'+' if seconds > 0 else ''}{milliseconds(seconds)} ({millisecond_interval(interval)})"


def _ratio(one: Overhead) -> str:
    interval = one.ratio_interval
    return f"{one.throughput_ratio:.2f}" + (f" ({interval.low:.2f}–{interval.high:.2f})" if interval else "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
