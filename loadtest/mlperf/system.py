"""A target as LoadGen's system under test."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.clock import Clock
from loadtest.errors import Failed
from loadtest.measure.answer_check import AnswerCheck
from loadtest.measure.interview import interview
from loadtest.mlperf.job import SystemUnderTest
from loadtest.payloads.workload import Workload
from loadtest.targets.line import open_line
from loadtest.targets.target import Target


@dataclass(slots=True, frozen=True)
class TargetSystem:
    """Opens ``target`` for ``workload``: a picklable function.

    ``timeout`` is in seconds for each request; ``seed`` is that of the samples. More than ``connections`` are opened
    when they are needed.
    """

    target: Target
    workload: Workload
    timeout: float
    seed: int
    connections: int = 16

    async def __call__(self, clock: Clock) -> SystemUnderTest:
        """Connect, and learn the answers to all payloads.

        Raises:
            Failed: the target does not answer, or not with what the model gives.
        """
        line = open_line(self.target, self.workload, clock=clock, timeout=self.timeout)
        check = AnswerCheck(line.decode, self.workload, self.seed)
        try:
            await interview(
                line.client,
                check,
                payloads=len(self.workload.payloads),
                connections=self.connections,
                clock=clock,
            )
        except Failed as error:
            raise Failed(f"{self.target.name}: {error}") from None
        return SystemUnderTest(line.client, check, check.sampled, self._library())

    def _library(self) -> tuple[int, ...]:
        """Every payload once; of unequal weights as many as a seeded draw gives, because LoadGen draws evenly."""
        weights = {payload.weight for payload in self.workload.payloads}
        if len(weights) == 1:
            return tuple(range(len(self.workload.payloads)))
        return tuple(self.workload.order(self.seed).tolist())
