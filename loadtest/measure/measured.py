"""A target and what has been measured of it, whoever measures."""

from __future__ import annotations

from loadtest.load.loads import AnyLoad
from loadtest.payloads.workload import Workload
from loadtest.results.block import Block
from loadtest.results.report import TargetResult
from loadtest.targets.target import Target


class MeasuredTarget:
    """One target under measurement.

    Attributes:
        target: it.
        workload: what it is sent.
        first_payload: number in the report's ``payloads`` of the workload's first.
        problem: why its part in the experiment has ended; empty while it has not.
        largest_difference: of its answers from those of the majority of the targets, None when not compared.
        blocks: what was recorded so far.
    """

    def __init__(self, target: Target, workload: Workload, first_payload: int = 0) -> None:
        self.target = target
        self.workload = workload
        self.first_payload = first_payload
        self.problem = target.problem
        self.largest_difference: float | None = None
        self.blocks: list[Block] = []

    def is_void(self, load: AnyLoad) -> bool:
        """Whether a block of ``load`` must not be used."""
        return any(block.void for block in self.blocks if block.load == load.spec)

    def result(self) -> TargetResult:
        """What was measured so far."""
        target = self.target
        return TargetResult(
            name=target.name,
            backend=target.backend,
            server=target.server,
            via=target.via,
            protocol=target.protocol,
            wire=target.wire,
            problem=self.problem,
            largest_difference=self.largest_difference,
            first_payload=self.first_payload,
            blocks=tuple(self.blocks),
        )
