"""One target under measurement: its encoded requests, its checked answers and the blocks that were recorded."""

from __future__ import annotations

import gc
import itertools
import time
from dataclasses import dataclass
from random import Random

import numpy as np

from loadtest import schedule
from loadtest.agreement import Outputs
from loadtest.answer_check import AnswerCheck, WrongAnswer
from loadtest.clients import RequestFailed
from loadtest.clock import NS, Clock
from loadtest.recorder import Recorder
from loadtest.results import Block, ClosedLoop, OpenLoop, TargetResult
from loadtest.runner import Caller, closed_loop, open_loop
from loadtest.samples import MeasuredModel
from loadtest.targets import Target
from loadtest.wires import open_line

# The part of a block that runs before its window, as a share of the window.
_LEAD_IN = 0.2
# Connections an open loop starts with, and the unanswered requests at which it gives up.
_OPEN_CONNECTIONS = 8
_MOST_IN_FLIGHT = 512


@dataclass(slots=True, frozen=True)
class Settings:
    """How to measure.

    Attributes:
        seconds: measured time for each target and load, over all repetitions.
        repetitions: blocks that time is split into.
        warm_up: seconds of load before the first block of each target.
        timeout: seconds after which a request counts as failed.
        seed: fixes the order of the targets and of the samples, and the arrivals.
    """

    seconds: float
    repetitions: int
    warm_up: float
    timeout: float
    seed: int

    @property
    def window(self) -> int:
        """Length of one block's window in ns."""
        return int(self.seconds / self.repetitions * NS)

    @property
    def lead_in(self) -> int:
        """Least time of load in ns before a window opens."""
        return int(_LEAD_IN * self.window)

    def arrivals(self, rate: float, repetition: int, lead_in: int) -> list[int]:
        """Due times in ns from the window's start, negative in the ``lead_in`` before it.

        Within the window they are the same for every target, so that targets differ in nothing else.
        """
        early, timed = np.random.SeedSequence((self.seed, repetition)).generate_state(2)
        before = schedule.poisson(rate, lead_in / NS, int(early)) - lead_in
        return [*before.tolist(), *schedule.poisson(rate, self.window / NS, int(timed)).tolist()]


class Subject:
    """One target under measurement. A ``problem`` ends its part in the experiment."""

    def __init__(self, target: Target, model: MeasuredModel, settings: Settings, clock: Clock) -> None:
        self.target = target
        self.problem = target.problem
        self.largest_difference: float | None = None
        self.blocks: list[Block] = []
        self._settling = 0  # ns until a server that was idle has answered all callers of the warm-up
        self._model = model
        self._settings = settings
        self._clock = clock
        self._line = open_line(target, model.requests, clock=clock, timeout=settings.timeout)
        self._check = AnswerCheck(self._line, model.signature)
        order = list(range(len(model.requests)))
        Random(settings.seed).shuffle(order)  # noqa: S311
        self._caller = Caller(self._line.client, self._check, itertools.cycle(order), clock)

    async def interview(self) -> tuple[Outputs, ...]:
        """The target's answers to all samples; empty, and a problem, when it does not give them."""
        try:
            await self._line.client.connect(1)
            return await self._check.learn(len(self._model.requests))
        except RequestFailed as failure:
            self.problem = str(failure)
        except WrongAnswer as wrong:
            self.problem = f"wrong answer: {wrong}"
        return ()

    async def warm_up(self, concurrency: int) -> None:
        """Put load on the target that is not kept."""
        recorder = Recorder(int(self._settings.warm_up * NS))
        began = self._clock.now()
        await closed_loop(self._caller, recorder, concurrency, lead_in=0)
        self._settling = recorder.start - began

    async def measure(self, phase: ClosedLoop | OpenLoop, repetition: int) -> None:
        """Add one block, unless an earlier one of the phase was void. A cancelled block keeps what it has."""
        if self.is_void(phase) or not await self._connect(phase):
            return
        gc.collect()
        gc.disable()  # a collection would be measured as the server's time
        began, cpu = time.perf_counter(), time.process_time()
        recorder = Recorder(self._settings.window)
        try:
            await self._load(phase, recorder, repetition)
        finally:
            gc.enable()
            share = (time.process_time() - cpu) / (time.perf_counter() - began)
            self._keep(recorder, phase, repetition, share)

    def is_void(self, phase: ClosedLoop | OpenLoop) -> bool:
        """Whether the target failed to keep up with the load of ``phase``."""
        return any(block.void for block in self.blocks if block.phase == phase.name)

    async def close(self) -> None:
        await self._line.client.close()

    def result(self) -> TargetResult:
        """What was measured so far."""
        target = self.target
        return TargetResult(
            backend=target.backend,
            via=target.via,
            protocol=target.protocol,
            server=target.server,
            problem=self.problem,
            largest_difference=self.largest_difference,
            blocks=tuple(self.blocks),
        )

    async def _connect(self, phase: ClosedLoop | OpenLoop) -> bool:
        try:
            connections = phase.concurrency if isinstance(phase, ClosedLoop) else _OPEN_CONNECTIONS
            await self._line.client.connect(connections)
        except RequestFailed as failure:
            self.problem = str(failure)
        return not self.problem

    async def _load(self, phase: ClosedLoop | OpenLoop, recorder: Recorder, repetition: int) -> None:
        lead_in = self._settings.lead_in
        if isinstance(phase, ClosedLoop):
            await closed_loop(self._caller, recorder, phase.concurrency, lead_in)
        else:
            lead_in = max(lead_in, self._settling)
            recorder.open(self._clock.now() + lead_in)
            arrivals = self._settings.arrivals(phase.rate, repetition, lead_in)
            await open_loop(self._caller, recorder, [recorder.start + due for due in arrivals], _MOST_IN_FLIGHT)

    def _keep(self, recorder: Recorder, phase: ClosedLoop | OpenLoop, repetition: int, generator_cpu: float) -> None:
        block = recorder.block(phase.name, repetition, now=self._clock.now(), generator_cpu=generator_cpu)
        if block is None:
            return
        self.blocks.append(block)
        if recorder.errors and not recorder.answers:
            kinds = ", ".join(f"{count} × {kind}" for kind, count in recorder.errors.most_common())
            self.problem = f"no good answer any more: {kinds}"
