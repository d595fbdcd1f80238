"""What changed between two result files, for each target and load that both have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loadtest.measure.summary import Row
from loadtest.report.digest import Digest
from loadtest.statistics.estimate import Estimate
from loadtest.units import milliseconds, per_second

Metric = Literal["p50", "p99", "throughput"]


@dataclass(slots=True, frozen=True)
class Difference:
    """One number of one target under one load, in the ``old`` run and in the ``new`` one."""

    load: str
    target: str
    metric: Metric
    old: Estimate
    new: Estimate

    @property
    def ratio(self) -> float:
        """New ÷ old."""
        return self.new.value / self.old.value

    @property
    def loss(self) -> float:
        """By which share the new run is worse; negative when it is better."""
        return (1 / self.ratio if self.metric == "throughput" else self.ratio) - 1

    @property
    def detected(self) -> bool:
        """Whether both numbers have intervals, and these do not overlap."""
        old, new = self.old.interval, self.new.interval
        return old is not None and new is not None and not old.overlaps(new)

    @property
    def sentence(self) -> str:
        """The difference in words."""
        words = f"{self.target} under {self.load}: {self.metric} is {self.ratio:.3g} times the baseline's"
        return f"{words} ({self.shown(self.new)} instead of {self.shown(self.old)})"

    def shown(self, estimate: Estimate) -> str:
        """A number of this metric, with its interval and unit."""
        unit, show = ("requests/s", per_second) if self.metric == "throughput" else ("ms", milliseconds)
        interval = (
            f", 95 % CI {show(estimate.interval.low)}–{show(estimate.interval.high)}" if estimate.interval else ""
        )
        return f"{show(estimate.value)} {unit}{interval}"


def differences(old: Digest, new: Digest) -> Iterator[Difference]:
    """Those numbers that both runs have enough samples for, in the new run's order."""
    for before, after in common_rows(old, new):
        for metric, estimate in _metrics(after).items():
            reference = _metrics(before).get(metric)
            if reference is not None and reference.value > 0 and estimate.value > 0:
                yield Difference(after.load.spec, after.name, metric, reference, estimate)


def common_rows(old: Digest, new: Digest) -> Iterator[tuple[Row, Row]]:
    """Rows of both runs with the same load and the same target's name."""
    known = {(load.spec, row.name): row for load, row in old.rows()}
    for load, row in new.rows():
        if before := known.get((load.spec, row.name)):
            yield before, row


def _metrics(row: Row) -> dict[Metric, Estimate]:
    found: dict[Metric, Estimate | None] = {
        "p50": row.response.percentiles.get(0.5),
        "p99": row.response.percentiles.get(0.99),
        "throughput": row.throughput if row.requests else None,
    }
    return {metric: estimate for metric, estimate in found.items() if estimate is not None and estimate.enough}
