from __future__ import annotations

import asyncio
import itertools
from typing import Any

import numpy as np
import pytest
from support.virtual_time import run_virtual

from loadtest.clients import Answer, RequestFailed
from loadtest.recorder import Recorder
from loadtest.results import Block, unpack
from loadtest.runner import Caller, closed_loop, open_loop
from loadtest.statistics import percentile
from loadtest.summary import block_throughput, merged_times

NS = 1_000_000_000


class OneLaneServer:
    """Serves one request at a time in ``service`` seconds, and none at all during its stalls."""

    def __init__(self, clock: Any, service: float, stalls: tuple[tuple[float, float], ...] = ()) -> None:
        self.clock = clock
        self.service = service
        self.stalls = stalls
        self.free = 0
        self.sent: list[int] = []

    async def send(self, sample: int) -> Answer:
        now = self.clock.now()
        self.sent.append(now)
        begin = max(now, self.free)
        for start, end in self.stalls:
            if start * NS <= begin < end * NS:
                begin = round(end * NS)
        self.free = begin + round(self.service * NS)
        await self.clock.sleep_until(self.free)
        return Answer(b"", None, self.clock.now())

    async def connect(self, connections: int) -> None: ...

    async def close(self) -> None: ...


class FailingServer(OneLaneServer):
    """Fails every second request."""

    async def send(self, sample: int) -> Answer:
        answer = await super().send(sample)
        if len(self.sent) % 2 == 0:
            raise RequestFailed("HTTP 503")
        return answer


def caller_of(server: OneLaneServer) -> Caller:
    return Caller(server, lambda sample, answer: True, itertools.repeat(0), server.clock)


def block_of(recorder: Recorder, now: int) -> Block:
    block = recorder.block("phase", 0, now=now, generator_cpu=0.0)
    assert block is not None
    return block


def measure_open(server: OneLaneServer, due: list[int], seconds: float, most_in_flight: int = 10_000) -> Block:
    async def measure() -> Block:
        recorder = Recorder(round(seconds * NS))
        recorder.open(0)
        await open_loop(caller_of(server), recorder, due, most_in_flight)
        return block_of(recorder, server.clock.now())

    return run_virtual(measure())


def measure_closed(server: OneLaneServer, concurrency: int, seconds: float) -> Block:
    async def measure() -> Block:
        recorder = Recorder(round(seconds * NS))
        await closed_loop(caller_of(server), recorder, concurrency, lead_in=0)
        return block_of(recorder, server.clock.now())

    return run_virtual(measure())


def constant(rate: int, seconds: int) -> list[int]:
    return [index * NS // rate for index in range(rate * seconds)]


def test_open_loop_shows_a_stall_to_all_who_waited(virtual_clock: Any) -> None:
    """Coordinated omission: 1 s in 10 hits 10 % of the requests, so that 1 % wait for more than 0.9 s."""
    server = OneLaneServer(virtual_clock, service=1e-6, stalls=((4.5, 5.5),))
    times = merged_times([measure_open(server, constant(1000, 10), 10)])
    assert len(times) == 10_000
    assert percentile(times, 0.99) == pytest.approx(0.90, rel=0.02)


def test_closed_loop_hides_the_same_stall(virtual_clock: Any) -> None:
    server = OneLaneServer(virtual_clock, service=1e-3, stalls=((4.5, 5.5),))
    assert percentile(merged_times([measure_closed(server, 1, 10)]), 0.99) == pytest.approx(1e-3, rel=0.01)


def test_open_loop_keeps_its_schedule_while_the_server_stalls(virtual_clock: Any) -> None:
    server = OneLaneServer(virtual_clock, service=1e-4, stalls=((0, 1),))
    due = constant(100, 1)
    block = measure_open(server, due, 1)
    assert server.sent == due
    assert not unpack(block.send_lag).any()


def test_queueing_delay_is_that_of_an_m_d_1_queue(virtual_clock: Any) -> None:
    rate, service, count = 500, 1e-3, 15_000
    due = np.cumsum(np.random.default_rng(8).exponential(NS / rate, count)).astype(np.int64)
    block = measure_open(OneLaneServer(virtual_clock, service), due.tolist(), due[-1] / NS + 1)
    times = merged_times([block])
    assert times == pytest.approx(np.sort(lindley(due / NS, service)), abs=1e-8)
    load = rate * service
    assert times.mean() == pytest.approx(service + load * service / (2 * (1 - load)), rel=0.05)


def lindley(arrivals: np.ndarray, service: float) -> list[float]:
    """Response times of a single server: each request waits for what is left of the one before."""
    response, responses = 0.0, []
    for gap in np.diff(arrivals, prepend=arrivals[0]):
        response = max(response - gap, 0.0) + service
        responses.append(response)
    return responses


def test_closed_loop_keeps_its_concurrency_busy(virtual_clock: Any) -> None:
    block = measure_closed(OneLaneServer(virtual_clock, service=0.01), concurrency=4, seconds=2)
    times = merged_times([block])
    assert percentile(times, 0.5) == pytest.approx(0.04)  # one is served, three wait
    assert block_throughput(block) == pytest.approx(100, rel=0.01)


class BatchServer(OneLaneServer):
    """Takes all that wait at once and answers them together ``service`` seconds later."""

    async def send(self, sample: int) -> Answer:
        now = self.clock.now()
        self.free = self.free if self.free > now else now + round(self.service * NS)
        await self.clock.sleep_until(self.free)
        return Answer(b"", None, self.clock.now())


@pytest.mark.parametrize("server", [OneLaneServer, BatchServer])
@pytest.mark.parametrize("seconds", [0.05, 0.17, 0.31, 2.0])
def test_throughput_is_right_in_windows_shorter_than_a_response(
    virtual_clock: Any, server: type[OneLaneServer], seconds: float
) -> None:
    one_lane = server is OneLaneServer
    block = measure_closed(server(virtual_clock, 0.075 if one_lane else 0.6), concurrency=8, seconds=seconds)
    assert block_throughput(block) == pytest.approx(8 / 0.6, rel=0.01)


def test_open_loop_lasts_until_its_window_ends(virtual_clock: Any) -> None:
    """Otherwise the rate would be taken over the time to the last answer, and come out too high."""
    block = measure_open(OneLaneServer(virtual_clock, service=0.01), [0, NS // 10], 1)
    assert block.window_seconds == 1
    assert block_throughput(block) == pytest.approx(2)


def test_too_many_in_flight_void_the_block(virtual_clock: Any) -> None:
    server = OneLaneServer(virtual_clock, service=1.0)
    block = measure_open(server, constant(100, 1), 1, most_in_flight=20)
    assert block.void == "cannot keep up: 20 requests in flight"
    assert len(server.sent) == 20


def test_failures_are_counted_and_no_part_of_latencies(virtual_clock: Any) -> None:
    block = measure_open(FailingServer(virtual_clock, service=1e-3), constant(10, 10), 10)
    assert block.errors == {"HTTP 503": 50}
    assert len(merged_times([block])) == 50


def test_wrong_answers_are_failures(virtual_clock: Any) -> None:
    server = OneLaneServer(virtual_clock, service=0.1)

    async def measure() -> Recorder:
        recorder = Recorder(NS)
        caller = Caller(server, lambda sample, answer: False, itertools.repeat(0), virtual_clock)
        await closed_loop(caller, recorder, 1, lead_in=0)
        return recorder

    recorder = run_virtual(measure())
    assert set(recorder.errors) == {"wrong answer"}
    assert recorder.answers == 0


def test_lead_in_is_no_part_of_latencies_but_of_throughput(virtual_clock: Any) -> None:
    server = OneLaneServer(virtual_clock, service=0.4)

    async def measure() -> Block:
        recorder = Recorder(NS)
        await closed_loop(caller_of(server), recorder, 1, lead_in=round(0.5 * NS))  # window from 0.5 s to 1.5 s
        return block_of(recorder, virtual_clock.now())

    block = run_virtual(measure())
    assert unpack(block.scheduled).tolist() == [-5 * NS // 10, -NS // 10, 3 * NS // 10, 7 * NS // 10]
    assert len(merged_times([block])) == 2
    assert block_throughput(block) == pytest.approx(2.5)  # 0.3, 0.4 and 0.3 s of requests that take 0.4 s


def test_window_opens_when_every_caller_has_had_an_answer(virtual_clock: Any) -> None:
    block = measure_closed(OneLaneServer(virtual_clock, service=0.1), concurrency=4, seconds=2)
    assert min(unpack(block.scheduled)) == -4 * NS // 10
    assert merged_times([block]) == pytest.approx(0.4)  # no request that found the server idle


def test_a_cancelled_block_keeps_what_it_has(virtual_clock: Any) -> None:
    server = OneLaneServer(virtual_clock, service=0.1)

    async def measure() -> Block:
        recorder = Recorder(100 * NS)
        task = asyncio.create_task(closed_loop(caller_of(server), recorder, 1, lead_in=0))
        await asyncio.sleep(1.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return block_of(recorder, virtual_clock.now())

    block = run_virtual(measure())
    assert block.window_seconds == pytest.approx(0.95)  # it had opened with the first answer
    assert len(merged_times([block])) == 9
