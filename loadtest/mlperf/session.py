"""One test of LoadGen in this process: its threads ask, the event loop sends, and each answer goes back to LoadGen.

LoadGen cannot be interrupted and is one to a process; ``loadtest.mlperf.worker`` gives it a process of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from array import array
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.calls import Call
from loadtest.clients import ask
from loadtest.clock import NS, Clock
from loadtest.generator.loop_lag import LoopLag
from loadtest.generator.recorder import Recorder
from loadtest.load.loads import ClosedLoop, MultiStream, Offline, Poisson
from loadtest.mlperf.due import due_times, with_due_times
from loadtest.mlperf.job import SystemUnderTest
from loadtest.mlperf.scenario import LoadGenSettings, log_settings
from loadtest.results.block import Block, Health

# A dead server refuses in microseconds, and a closed loop would spin: LoadGen hears of a failure this much later (s).
_PAUSE_AFTER_FAILURE = 0.01
# Queries that tell the latency to expect, and the time (ns) after which no more of them are sent.
_PROBES = 20
_PROBING = NS // 2
# The window is as long as LoadGen's test, which nobody knows before.
_OPEN_END = 2**62


class Session:
    """Runs one test. ``block`` gives what was measured at any time, also when ``run`` was cancelled.

    A cancelled test goes on in LoadGen's thread: end the process, and do not close the event loop before.

    A request is ``scheduled`` when LoadGen hands it over; in Server, whose requests are due before that, when LoadGen's
    trace says, which is complete with the test.
    """

    def __init__(
        self, system: SystemUnderTest, settings: LoadGenSettings, directory: Path, clock: Clock, lag_clock: Clock
    ) -> None:
        self._system = system
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._recorder = Recorder(system.check)
        self._lag = LoopLag(lag_clock)
        self._began = clock.now()
        self._cpu = time.process_time()
        self._opened = system.client.opened
        self._last = 0
        self._bound = settings.most_in_flight if isinstance(settings.load, Offline) else None
        self._waiting: deque[tuple[int, int, int]] = deque()  # LoadGen's number, payload, scheduled
        self._handed_over = array("q")
        self._traced = isinstance(settings.load, Poisson)
        self._ended = False
        self._loadgen: Any = None

    async def run(self) -> None:
        """Test until LoadGen has enough. Its logs are complete when this returns."""
        import mlperf_loadgen

        self._loadgen = mlperf_loadgen
        settings = self._settings.test_settings(mlperf_loadgen, await self._expected_latency())
        logs = log_settings(mlperf_loadgen, self._directory, trace=self._traced)
        count = len(self._system.library)
        sut = mlperf_loadgen.ConstructSUT(self._issue, _flush)
        qsl = mlperf_loadgen.ConstructQSL(count, count, _ignore, _ignore)
        ended = asyncio.Event()

        def test() -> None:
            try:
                mlperf_loadgen.StartTestWithLogSettings(sut, qsl, settings, logs, "")
            finally:
                self._loop.call_soon_threadsafe(ended.set)

        self._lag.start()
        self._began, self._cpu = self._clock.now(), time.process_time()
        threading.Thread(target=test, name="LoadGen", daemon=True).start()
        await ended.wait()
        mlperf_loadgen.DestroyQSL(qsl)
        mlperf_loadgen.DestroySUT(sut)
        self._recorder.close(self._last)
        self._ended = True

    def block(self, repetition: int, void: str = "") -> Block | None:
        """What was measured so far, unfinished while LoadGen tests; None when no request was sent.

        Raises:
            ResultsError: LoadGen's trace cannot be read.
        """
        now = self._clock.now()
        lag_p99, lag_max = self._lag.stop()
        health = Health(
            generator_cpu=(time.process_time() - self._cpu) * NS / max(now - self._began, 1),
            loop_lag_p99=lag_p99,
            loop_lag_max=lag_max,
            connections_opened=self._system.client.opened - self._opened,
            most_in_flight=self._recorder.most_in_flight,
        )
        sampled = self._system.sampled()
        for one in sampled.wrong:
            self._recorder.disown(*one)
        self._recorder.void = void
        block = self._recorder.block(
            self._settings.load.spec, repetition, now=now, health=health, compared=sampled.compared
        )
        if block is None or not (self._traced and self._ended):
            return block
        return with_due_times(block, np.array(self._handed_over, dtype=np.int64), *due_times(self._directory))

    async def _expected_latency(self) -> int:
        """The least time in ns of some queries; 0 where LoadGen need not know."""
        load = self._settings.load
        if not isinstance(load, ClosedLoop | MultiStream):
            return 0
        streams = load.streams if isinstance(load, MultiStream) else 1
        payloads = [self._system.library[number % len(self._system.library)] for number in range(streams)]
        times: list[int] = []
        while len(times) < _PROBES and sum(times) < _PROBING:
            began = self._clock.now()
            await asyncio.gather(*(ask(self._system.client, payload, self._clock) for payload in payloads))
            times.append(self._clock.now() - began)
        return min(times)

    def _issue(self, samples: Any) -> None:
        """Called by LoadGen's threads, whom ``samples`` belongs to. An exception here would abort the process."""
        now = self._clock.now()
        library = self._system.library
        queries = [(sample.id, library[sample.index], now) for sample in samples]
        self._loop.call_soon_threadsafe(self._accept, queries)

    def _accept(self, queries: list[tuple[int, int, int]]) -> None:
        if self._recorder.most_in_flight == 0:
            self._recorder.open(queries[0][2], _OPEN_END)
        if self._traced:
            self._handed_over.extend(scheduled for _, _, scheduled in queries)
        self._waiting.extend(queries)
        self._send_waiting()

    def _send_waiting(self) -> None:
        waiting, recorder, start = self._waiting, self._recorder, self._system.client.start
        while waiting and (self._bound is None or recorder.in_flight < self._bound):
            number, payload, scheduled = waiting.popleft()
            recorder.began()
            start(Call(payload, scheduled, partial(self._finished, number)))

    def _finished(self, number: int, call: Call) -> None:
        self._recorder.finished(call)
        self._last = call.done
        if call.failure:
            self._loop.call_later(_PAUSE_AFTER_FAILURE, self._complete, number)
        else:
            self._complete(number)
        if self._waiting:
            self._loop.call_soon(self._send_waiting)

    def _complete(self, number: int) -> None:
        loadgen = self._loadgen
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(number, 0, 0)])


def _flush() -> None:
    """Nothing is held back here."""


def _ignore(_samples: Any) -> None:
    """Requests are encoded already; there is nothing to load."""
