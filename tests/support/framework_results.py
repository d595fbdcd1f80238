"""Results of ``loadtest frameworks`` for tests, from times in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from loadtest.frameworks.contestants import Contestant
from loadtest.frameworks.evaluation import evaluate
from loadtest.frameworks.race import Race
from loadtest.frameworks.results import BatchResult, FrameworkResult
from loadtest.frameworks.worker import Ready, Round
from loadtest.statistics.estimate import Estimate, Interval


def batch_result(batch: int, rounds_ms: Sequence[Sequence[float]], ratio: Estimate | None = None) -> BatchResult:
    """One that has the given rounds; percentiles are near enough."""
    ordered = sorted(time for times in rounds_ms for time in times)
    median = ordered[(len(ordered) - 1) // 2] / 1e3
    return BatchResult(
        batch=batch,
        inferences=len(ordered),
        warm_up=0,
        p50=Estimate(value=median, interval=Interval(median * 0.9, median * 1.1), method="batch means"),
        p90=Estimate(value=ordered[-1] / 1e3, enough=False),
        p99=Estimate(value=ordered[-1] / 1e3, enough=False),
        rows_per_second=Estimate(value=batch / median),
        ratio=ratio,
        rounds_ns=tuple(tuple(round(time * 1e6) for time in times) for times in rounds_ms),
    )


def framework_result(framework: str, *batches: BatchResult, waited: float | None = 0.0) -> FrameworkResult:
    """One that was loaded and measured."""
    return FrameworkResult(
        framework=framework,
        runs="some route",
        version="1.2.3+cpu",
        device="cpu",
        load=1.5,
        first_inference=0.25,
        memory_peak=300 * 2**20,
        waited=waited,
        largest_difference=3e-7,
        batches=batches,
    )


def ratio(value: float, low: float | None = None, high: float | None = None) -> Estimate:
    """A ratio with or without an interval."""
    if low is None or high is None:
        return Estimate(value=value)
    return Estimate(value=value, interval=Interval(low, high), method="batch means")


class FakeRace(SimpleNamespace):
    """What a race knows at its end."""

    def __init__(self) -> None:
        super().__init__(out=[], racers=[], differences={}, warm_up={}, rounds={})

    def add(self, framework: str, rounds_us: dict[int, list[list[int]]], problem: str = "", **changes: Any) -> None:
        racer = SimpleNamespace(
            contestant=Contestant(framework, "some route", lambda threads: None),  # type: ignore[arg-type,return-value]
            ready=Ready("1.2", "cpu", 2.0, 0.5, 100, {}),
            memory_peak=200,
            problem=problem,
        )
        racer.__dict__.update(changes)
        self.racers.append(racer)
        self.differences[framework] = 1e-7
        for batch, times in rounds_us.items():
            self.warm_up[framework, batch] = 3
            waited = 10_000 if framework == "PyTorch" else None
            self.rounds[framework, batch] = [
                Round([time * 1000 for time in one], sum(one) * 1000, waited, 0) for one in times
            ]

    def evaluated(self, *batches: int) -> dict[str, FrameworkResult]:
        return {one.framework: one for one in evaluate(cast(Race, self), batches)}
