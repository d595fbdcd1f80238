"""From raw blocks to the numbers people read. Samples of all blocks are merged; percentiles never are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtest.clock import NS
from loadtest.results import Block, ClosedLoop, OpenLoop, Report, TargetResult, unpack
from loadtest.statistics import Interval, percentile, quantile_interval, shown_percentile


@dataclass(slots=True, frozen=True)
class Row:
    """One target under one load; times in seconds. A percentile is None when there are too few samples for it.

    Attributes:
        response_times: all response times of the windows, ascending.
        median_interval: 95 % interval of the median, from the blocks' medians; None when there are too few blocks.
        throughput: good answers a second.
        errors: failed requests by kind.
        generator_cpu: the generator's share of one core, in its busiest block.
        send_lag: 99th percentile of how late requests were sent.
        problem: why the numbers are missing or void; empty when they are not.
    """

    target: TargetResult
    response_times: npt.NDArray[np.float64]
    median: float | None
    median_interval: Interval | None
    p90: float | None
    p95: float | None
    p99: float | None
    throughput: float
    errors: dict[str, int]
    generator_cpu: float
    send_lag: float | None
    problem: str

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name

    @property
    def error_count(self) -> int:
        """Failed requests of all kinds."""
        return sum(self.errors.values())


def summarise(report: Report, phase: ClosedLoop | OpenLoop) -> list[Row]:
    """One row for each target of ``report`` under ``phase``."""
    return [_row(target, [block for block in target.blocks if block.phase == phase.name]) for target in report.targets]


def window_times(block: Block) -> npt.NDArray[np.float64]:
    """Response times in seconds of the good answers that were due in the block's window."""
    times: npt.NDArray[np.float64] = unpack(block.response_time)[unpack(block.scheduled) >= 0] / NS
    return times


def has_times(block: Block) -> bool:
    """Whether any good answer was due in the block's window."""
    return len(window_times(block)) > 0


def merged_times(blocks: Sequence[Block]) -> npt.NDArray[np.float64]:
    """``window_times`` of all ``blocks``, ascending."""
    return np.sort(np.concatenate([np.empty(0), *(window_times(block) for block in blocks)]))


def block_throughput(block: Block) -> float:
    """Good answers a second in the block's window; each counts with the share of its time that lies in the window.

    Counting completions instead would be off by up to a whole round of callers where answers take as long as windows.
    """
    scheduled, taken = unpack(block.scheduled), np.maximum(unpack(block.response_time), 1)
    inside = np.minimum(scheduled + taken, block.window_seconds * NS) - np.maximum(scheduled, 0)
    return float(np.sum(np.maximum(inside, 0) / taken) / block.window_seconds)


def throughput(blocks: Sequence[Block]) -> float:
    """Good answers a second over all ``blocks``."""
    seconds = sum(block.window_seconds for block in blocks)
    return sum(block_throughput(block) * block.window_seconds for block in blocks) / seconds if seconds else 0.0


def block_medians(blocks: Sequence[Block]) -> list[float]:
    """Median response time in seconds of each block that has any."""
    times = [np.sort(window_times(block)) for block in blocks]
    return [percentile(ordered, 0.5) for ordered in times if len(ordered)]


def verdict(rows: Sequence[Row]) -> str:
    """Which target answers fastest, or that no difference is established; empty when nothing can be compared."""
    measured = sorted(
        ((row.median, row.median_interval, row.name) for row in rows if row.median and row.median_interval),
        key=lambda entry: entry[0],
    )
    if len(measured) < 2:
        return ""
    (best, interval, name), (second, _, runner_up) = measured[:2]
    equals = [other for _, other_interval, other in measured[1:] if other_interval.overlaps(interval)]
    if not equals:
        return f"Lowest median: {name} ({percent_faster(best, second)} faster than {runner_up})"
    others = " and ".join(equals) if len(equals) <= 2 else f"{len(equals)} others"
    return f"Lowest median: {name}; no significant difference to {others}"


def percent_faster(winner: float, other: float) -> str:
    """How many percent more work in the same time a median of ``winner`` seconds does than one of ``other``."""
    percent = (other / winner - 1) * 100
    return f"{percent:.0f}%" if percent >= 1 else f"{percent:.1f}%"


def _row(target: TargetResult, blocks: Sequence[Block]) -> Row:
    void = next((block.void for block in blocks if block.void), "")
    good = [] if void else blocks
    ordered = merged_times(good)
    lags = np.sort(np.concatenate([np.empty(0, np.int64), *(unpack(block.send_lag) for block in good)]))
    errors: Counter[str] = Counter()
    for block in blocks:
        errors.update(block.errors)
    return Row(
        target=target,
        response_times=ordered,
        median=percentile(ordered, 0.5) if len(ordered) else None,
        median_interval=quantile_interval(block_medians(good)),
        p90=shown_percentile(ordered, 0.9),
        p95=shown_percentile(ordered, 0.95),
        p99=shown_percentile(ordered, 0.99),
        throughput=throughput(good),
        errors=dict(errors),
        generator_cpu=max((block.generator_cpu for block in blocks), default=0.0),
        send_lag=percentile(lags, 0.99) / NS if len(lags) else None,
        problem=target.problem or void,
    )
