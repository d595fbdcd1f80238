"""A system under test without any server, for LoadGen's process: picklable, so it is a module of its own."""

import asyncio
import dataclasses
import os
from pathlib import Path

from loadtest.errors import Failed
from loadtest.measure.answer_check import Sampled
from loadtest.mlperf.job import SystemUnderTest


class MemoryClient:
    """Answers after ``seconds``, as the client contract wants it. Payload 1 fails, payload 2 is answered wrongly."""

    def __init__(self, clock, seconds, asked):
        self.opened = 0
        self._clock = clock
        self._seconds = seconds
        self._asked = asked

    async def connect(self, connections):
        self.opened += connections

    def start(self, call):
        call.sent = self._clock.now()
        if self._asked is not None:
            self._asked.touch()
        if self._seconds is not None:
            asyncio.get_running_loop().call_later(self._seconds, self._answer, call)

    def _answer(self, call):
        if call.payload == 1:
            call.fail("HTTP 503", self._clock.now(), "busy")
            return
        call.first_byte = call.done = self._clock.now()
        call.body = b"wrong" if call.payload == 2 else b"right"
        call.finished(call)

    async def close(self):
        pass


@dataclasses.dataclass(frozen=True)
class MemorySystem:
    """``seconds`` None: it never answers. ``dies``: takes its process with it. ``asked``: made by the first call."""

    seconds: float | None = 0.001
    library: tuple[int, ...] = (0,)
    problem: str = ""
    dies: bool = False
    asked: Path | None = None

    async def __call__(self, clock):
        if self.dies:
            os._exit(3)
        if self.problem:
            raise Failed(self.problem)
        client = MemoryClient(clock, self.seconds, self.asked)
        await client.connect(1)
        return SystemUnderTest(client, lambda call: call.body == b"right", lambda: Sampled(0, ()), self.library)
