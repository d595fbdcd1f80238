"""One target under measurement: its encoded requests, its checked answers and the blocks that were recorded."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

import numpy as np

from gateway.core.messages import InferResponse
from loadtest.clients import ConnectError, ask
from loadtest.clock import NS, Clock
from loadtest.errors import LoadTestError
from loadtest.generator.loop_lag import LoopLag
from loadtest.generator.loops import ClosedLoopRun
from loadtest.generator.recorder import Recorder
from loadtest.load.loads import AnyLoad, ClosedLoop, MultiStream
from loadtest.measure.agreement import Outputs
from loadtest.measure.answer_check import AnswerCheck
from loadtest.measure.interview import interview
from loadtest.measure.loading import Loading, block_seed, connections
from loadtest.measure.measured import MeasuredTarget
from loadtest.measure.settings import Settings, lead_in
from loadtest.measure.share import WHOLE, Share
from loadtest.payloads.workload import Workload
from loadtest.results.block import Block, Health, failure_counts
from loadtest.server_times.probe import probe_of
from loadtest.server_times.snapshot import Snapshot, difference
from loadtest.server_times.timing import TimingSum
from loadtest.statistics.warm_up import warm_up_length
from loadtest.targets.line import Line, open_line
from loadtest.targets.target import Target

# A cold server is put under load in pieces of the first length until it has settled, or for the second (ns).
_WARM_UP_PIECE = NS // 2
_LEAST_ANSWERS = 20  # fewer say nothing
_LONGEST_WARM_UP = 10 * NS
# Payloads of consecutive blocks begin at places of the order that are far apart.
_STRIDE = 7919
# A server that was started anew has so long (ns) to answer, and is asked again after so many seconds.
_LONGEST_START = 300 * NS
_LOOK_AGAIN = 0.2

Watch = Callable[[Recorder], None]


class Subject(MeasuredTarget):
    """One target under measurement. A ``problem`` ends its part in the experiment."""

    def __init__(
        self,
        target: Target,
        workload: Workload,
        settings: Settings,
        clock: Clock,
        lag_clock: Clock,
        first_payload: int = 0,
    ) -> None:
        super().__init__(target, workload, first_payload)
        self.settings = settings
        self._clock = clock
        self._lag = LoopLag(lag_clock)
        self._order = workload.order(settings.seeds.samples).tolist()
        self._line: Line | None = None
        self._check = AnswerCheck(self._decode, workload, settings.seeds.samples)
        self._probe = probe_of(target, [model.name for model in workload.models])
        self._settling = 0  # ns until a server that was idle has answered all callers of the warm-up

    async def interview(self) -> tuple[Outputs, ...]:
        """The target's answers to all payloads; empty, and a problem, when it does not give them."""
        try:
            return await interview(
                self._open().client,
                self._check,
                payloads=len(self.workload.payloads),
                connections=1,
                clock=self._clock,
            )
        except LoadTestError as error:
            self.problem = str(error)
            return ()

    async def warm_up(self, concurrency: int) -> None:
        """Put load on the target that is not kept, until its times have settled."""
        client = self._open().client
        began = self._clock.now()
        times = np.empty(0, dtype=np.int64)
        while self._clock.now() - began < _LONGEST_WARM_UP:
            recorder = Recorder(self._check)
            run = ClosedLoopRun(client, recorder, self._order, self._clock)
            await run.run(concurrency, lead_in=0, length=_WARM_UP_PIECE)
            if not self._settling:
                self._settling = recorder.start - began
            times = np.concatenate([times, recorder.response_times(0)])
            cold = warm_up_length(times)
            settled = cold is not None and cold < len(times) / 2 and len(times) >= _LEAST_ANSWERS
            if settled or not recorder.answers:
                return

    async def connect(self, load: AnyLoad) -> bool:
        """Have the connections for ``load`` ready, so that none is opened while the clock runs; else a problem."""
        try:
            await self._open().client.connect(connections(load, self.settings.most_in_flight))
        except ConnectError as failure:
            self.problem = str(failure)
        return not self.problem

    async def measure(
        self,
        load: AnyLoad,
        repetition: int = 0,
        *,
        window: int | None = None,
        arrivals_seed: int | None = None,
        share: Share = WHOLE,
        restart: int = 0,
        opens: int | None = None,
        watch: Watch | None = None,
    ) -> Block | None:
        """Add one block and return it; None when an earlier one of the load was void, or the target is down.

        A cancelled block keeps what it has. ``window`` (ns) and ``arrivals_seed`` are those of the settings unless
        they are given; ``opens`` is the clock time at which the window is to open, where several workers have agreed
        on one; ``watch`` looks at the recorder once a second.
        """
        if self.is_void(load) or not await self.connect(load):
            return None
        client = self._open().client
        timing = TimingSum()
        recorder = Recorder(self._check, timing.add)
        before = await self._snapshot()
        opened = client.opened
        window = self.settings.window if window is None else window
        seed = self.settings.seeds.arrivals if arrivals_seed is None else arrivals_seed
        gc.collect()
        gc.disable()  # a collection would be measured as the server's time
        self._lag.start()
        watching = asyncio.create_task(_watch(recorder, watch)) if watch else None
        began, cpu = time.perf_counter(), time.process_time()
        finished = False
        try:
            await self._loading(load, repetition, window, seed, share, opens).put_on(client, recorder, self._clock)
            finished = True
        finally:
            used = (time.process_time() - cpu) / max(time.perf_counter() - began, 1e-9)
            gc.enable()
            if watching:
                watching.cancel()
            lag_p99, lag_max = self._lag.stop()
            health = Health(
                generator_cpu=used,
                loop_lag_p99=lag_p99,
                loop_lag_max=lag_max,
                connections_opened=client.opened - opened,
                most_in_flight=recorder.most_in_flight,
            )
            sampled = self._check.sampled()
            for one in sampled.wrong:
                recorder.disown(one.payload, one.scheduled, one.kind, one.detail)
            server_times = [timing.result() if timing.requests else None]
            if finished:
                server_times.append(difference(before, await self._snapshot()))
            block = recorder.block(
                load.spec,
                repetition,
                now=self._clock.now(),
                health=health,
                restart=restart,
                compared=sampled.compared,
                server_times=[one for one in server_times if one],
            )
            self._keep(block, recorder)
        return block

    async def disconnect(self) -> None:
        """Close every connection; the next block opens new ones."""
        if self._line is not None:
            line, self._line = self._line, None
            await line.client.close()

    async def reappear(self) -> None:
        """Wait until a server that was started anew answers; a problem when it does not."""
        deadline = self._clock.now() + _LONGEST_START
        while True:
            try:
                client = self._open().client
                await client.connect(1)
                call = await ask(client, 0, self._clock)
                failure = call.failure
            except ConnectError as error:
                failure = str(error)
            if not failure:
                return
            if self._clock.now() > deadline:
                self.problem = f"does not answer after the restart: {failure}"
                return
            await asyncio.sleep(_LOOK_AGAIN)

    def _open(self) -> Line:
        """The encoded payloads, ready to be sent; made once, and only for a target that can be asked."""
        if self._line is None:
            self._line = open_line(self.target, self.workload, clock=self._clock, timeout=self.settings.timeout)
        return self._line

    def _decode(self, payload: int, body: bytes, header_length: int | None) -> InferResponse:
        return self._open().decode(payload, body, header_length)

    def _loading(
        self, load: AnyLoad, repetition: int, window: int, seed: int, share: Share, opens: int | None
    ) -> Loading:
        first = repetition * _STRIDE % len(self._order)
        if opens is None:
            early = max(lead_in(window), 0 if isinstance(load, ClosedLoop | MultiStream) else self._settling)
        else:
            early = max(opens - self._clock.now(), 0)
        return Loading(
            load=load,
            order=self._order[first:] + self._order[:first],
            lead_in=early,
            window=window,
            seed=block_seed(seed, repetition),
            share=share,
            most_in_flight=self.settings.most_in_flight,
        )

    def _keep(self, block: Block | None, recorder: Recorder) -> None:
        if block is None:
            return
        self.blocks.append(block)
        if recorder.failures and not recorder.answers:
            counted = ", ".join(f"{count} × {kind}" for kind, count in failure_counts([block]).items())
            self.problem = f"no good answer any more: {counted}"

    async def _snapshot(self) -> Snapshot | None:
        return await self._probe.read() if self._probe is not None else None


async def _watch(recorder: Recorder, watch: Watch) -> None:
    while True:
        await asyncio.sleep(1)
        watch(recorder)
