"""The numbers that people read, of one target under one load."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loadtest.load.loads import AnyLoad
from loadtest.results.block import ServerTimes
from loadtest.results.report import TargetResult
from loadtest.statistics.estimate import Estimate

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


@dataclass(slots=True, frozen=True)
class Times:
    """Statistics of one kind of time, in seconds; ``percentiles`` by share, those of ``SHARES``. None: no samples."""

    mean: Estimate | None
    percentiles: dict[float, Estimate]


@dataclass(slots=True, frozen=True)
class Gate:
    """One condition of validity. ``reason`` is a sentence with the measured value and the limit."""

    name: str
    passed: bool
    reason: str


@dataclass(slots=True, frozen=True)
class Row:
    """One target under one load; times in seconds.

    Attributes:
        response: from due to done: the headline.
        service: from sent to done.
        first_byte: from due to the first byte of the answer.
        response_times: all response times of the windows, ascending (s).
        requests: good answers that were due in the windows.
        rows: inferences in those answers.
        throughput: good answers a second.
        offered: requests a second that were due; None in closed loops.
        errors: failed requests by kind.
        error_share: failed share of all requests.
        details: what the server said the first time, by kind of failure.
        send_lag: percentiles of how late requests were sent, by share: 0.5, 0.99 and 1.0 (s).
        generator_cpu: the generator's share of one core, in its busiest block.
        warm_up: seconds at the start that were found to be warm-up and left out; None when it never settled.
        steady: whether the times stayed the same over the run; None when there are too few to say.
        gates: the conditions of validity.
        server_times: where the time went, summed over the blocks, one for each source.
        problem: why the numbers are missing or void; empty when they are not.
        warnings: what lessens the numbers' worth without making them wrong.
        by_model: response times of each model's requests, where the workload is a mix of several.
    """

    target: TargetResult
    load: AnyLoad
    response: Times
    service: Times
    first_byte: Times
    response_times: npt.NDArray[np.float64]
    requests: int
    rows: int
    throughput: Estimate | None
    offered: float | None
    errors: dict[str, int]
    error_share: float
    details: dict[str, str]
    send_lag: dict[float, float]
    generator_cpu: float
    warm_up: float | None
    steady: bool | None
    gates: tuple[Gate, ...]
    server_times: tuple[ServerTimes, ...]
    problem: str
    warnings: tuple[str, ...] = ()
    by_model: dict[str, Times] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name

    @property
    def invalid(self) -> tuple[str, ...]:
        """The reasons of the gates that failed."""
        return tuple(gate.reason for gate in self.gates if not gate.passed)

    @property
    def median(self) -> Estimate | None:
        """The median response time."""
        return self.response.percentiles.get(0.5)
