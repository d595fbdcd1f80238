from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.queue_client import QueueClient
from support.virtual_clock import VirtualClock
from support.virtual_time import run_virtual

from loadtest.calls import Call
from loadtest.generator.loops import OFFLINE_IN_FLIGHT, ClosedLoopRun, MultiStreamRun, OfflineRun, OpenLoopRun
from loadtest.generator.recorder import Recorder
from loadtest.load.loads import Constant, Poisson
from loadtest.load.schedule import due_times
from loadtest.measure.rates import block_rate
from loadtest.results.block import Block, Columns, Health, failure_counts, unpack
from loadtest.statistics.quantiles import percentile

NS = 1_000_000_000


def good(call: Call) -> bool:
    return True


def block_of(recorder: Recorder, now: int) -> Block:
    block = recorder.block("load", 0, now=now, health=Health(generator_cpu=0.0))
    assert block is not None
    return block


def seconds(block: Block) -> Any:
    return np.sort(Columns.of(block).response_time) / NS


def measure_open(
    make: Callable[[Any], QueueClient], due: list[int], length: float, most_in_flight: int = 10_000
) -> tuple[Block, QueueClient]:
    async def measure() -> tuple[Block, QueueClient]:
        clock = VirtualClock()
        client, recorder = make(clock), Recorder(good)
        recorder.open(0, round(length * NS))
        await OpenLoopRun(client, recorder, [0], clock).run(due, most_in_flight)
        return block_of(recorder, clock.now()), client

    return run_virtual(measure())


def measure_closed(
    make: Callable[[Any], Any], concurrency: int, length: float, lead_in: float = 0, check: Any = good
) -> Block:
    async def measure() -> Block:
        clock = VirtualClock()
        recorder = Recorder(check)
        run = ClosedLoopRun(make(clock), recorder, [0], clock)
        await run.run(concurrency, round(lead_in * NS), round(length * NS))
        return block_of(recorder, clock.now())

    return run_virtual(measure())


def constant(rate: int, length: float) -> list[int]:
    return due_times(Constant(rate=rate), length, 0).tolist()


def test_open_loop_shows_a_stall_to_all_who_waited() -> None:
    """Coordinated omission: 1 s in 10 hits 10 % of the requests, so that 1 % wait for more than 0.9 s."""
    block, _ = measure_open(lambda clock: QueueClient(clock, 1e-6, stalls=((4.5, 5.5),)), constant(1000, 10), 10)
    assert len(seconds(block)) == 10_000
    assert percentile(seconds(block), 0.99) == pytest.approx(0.90, rel=0.02)


def test_closed_loop_hides_the_same_stall() -> None:
    block = measure_closed(lambda clock: QueueClient(clock, 1e-3, stalls=((4.5, 5.5),)), 1, 10)
    assert percentile(seconds(block), 0.99) == pytest.approx(1e-3, rel=0.01)


def test_open_loop_keeps_its_schedule_while_the_server_stalls() -> None:
    due = constant(100, 1)
    block, client = measure_open(lambda clock: QueueClient(clock, 1e-4, stalls=((0, 1),)), due, 1)
    assert client.sent == due
    assert not unpack(block.send_lag).any()


@pytest.mark.parametrize("rate", [500, 800, 900])
def test_the_loop_sees_the_queue_that_lindleys_recursion_gives(rate: int) -> None:
    due = due_times(Poisson(rate=rate), 10, seed=8)
    random = np.random.default_rng(9)
    services = random.exponential(1e-3, len(due))
    given = iter(services)
    block, _ = measure_open(lambda clock: QueueClient(clock, lambda: next(given)), due.tolist(), 10)
    assert Columns.of(block).response_time / NS == pytest.approx(lindley(due / NS, services), abs=1e-6)


def lindley(arrivals: Any, services: Any) -> list[float]:
    """Response times of a single server: each request waits for what is left of the one before."""
    response, responses = 0.0, []
    for gap, service in zip(np.diff(arrivals, prepend=arrivals[0]), services, strict=True):
        response = max(response - gap, 0.0) + service
        responses.append(response)
    return responses


def test_closed_loop_keeps_its_concurrency_busy() -> None:
    block = measure_closed(lambda clock: QueueClient(clock, 0.01), 4, 2)
    assert percentile(seconds(block), 0.5) == pytest.approx(0.04)  # one is served, three wait
    assert block_rate(block) == pytest.approx(100, rel=0.01)


class BatchClient(QueueClient):
    """Takes all that wait at once and answers them together ``service`` seconds later."""

    def start(self, call: Call) -> None:
        now = call.sent = self.clock.now()
        self._free = self._free if self._free > now else now + round(self._service() * NS)
        asyncio.get_running_loop().call_at(self._free / NS, self._answer, call, "")


@pytest.mark.parametrize(("kind", "service"), [(QueueClient, 0.075), (BatchClient, 0.6)])
@pytest.mark.parametrize("length", [0.05, 0.17, 0.31, 2.0])
def test_throughput_is_right_in_windows_shorter_than_a_response(
    kind: type[QueueClient], service: float, length: float
) -> None:
    block = measure_closed(lambda clock: kind(clock, service), 8, length)
    assert block_rate(block) == pytest.approx(8 / 0.6, rel=0.01)


def test_open_loop_lasts_until_its_window_ends() -> None:
    """Otherwise the rate would be taken over the time to the last answer, and come out too high."""
    block, _ = measure_open(lambda clock: QueueClient(clock, 0.01), [0, NS // 10], 1)
    assert block.window_seconds == 1
    assert block_rate(block) == pytest.approx(2)


def test_too_many_in_flight_void_the_block() -> None:
    block, client = measure_open(lambda clock: QueueClient(clock, 1.0), constant(100, 1), 1, most_in_flight=20)
    assert block.void == "cannot keep up: 20 requests in flight"
    assert len(client.sent) == 20
    assert block.health.most_in_flight == 0  # the loop's own; the caller puts it there


def test_a_server_that_cannot_keep_up_in_the_lead_in_voids_the_block_too() -> None:
    async def measure() -> Block:
        clock = VirtualClock()
        recorder = Recorder(good)
        recorder.open(NS, NS)
        await OpenLoopRun(QueueClient(clock, 0.005), recorder, [0], clock).run(constant(1000, 2), 20)
        return block_of(recorder, clock.now())

    block = run_virtual(measure())
    assert (block.void, block.window_seconds) == ("cannot keep up: 20 requests in flight", 0)


def test_failures_are_counted_and_no_part_of_latencies() -> None:
    def make(clock: VirtualClock) -> QueueClient:
        return QueueClient(clock, 1e-3, failing=lambda number: "HTTP 503" if number % 2 else "")

    block, _ = measure_open(make, constant(10, 10), 10)
    assert failure_counts([block]) == {"HTTP 503": 50}
    assert block.details == {"HTTP 503": "as told"}
    assert len(seconds(block)) == 50
    assert block.offered == 100


def test_a_dead_server_does_not_make_its_callers_spin() -> None:
    clients: list[QueueClient] = []

    def make(clock: VirtualClock) -> QueueClient:
        clients.append(QueueClient(clock, 0.0, failing=lambda number: "connect"))
        return clients[0]

    block = measure_closed(make, 2, 1)
    assert failure_counts([block]).keys() == {"connect"}
    assert len(clients[0].sent) <= 2 * 101


def test_wrong_answers_are_failures() -> None:
    block = measure_closed(lambda clock: QueueClient(clock, 0.1), 1, 1, check=lambda call: False)
    assert failure_counts([block]) == {"wrong answer": 10}
    assert not len(seconds(block))


def test_lead_in_is_no_part_of_latencies_but_of_throughput() -> None:
    block = measure_closed(lambda clock: QueueClient(clock, 0.4), 1, 1, lead_in=0.5)  # window from 0.5 s to 1.5 s
    assert unpack(block.scheduled).tolist() == [-5 * NS // 10, -NS // 10, 3 * NS // 10, 7 * NS // 10]
    assert len(seconds(block)) == 2
    assert block_rate(block) == pytest.approx(2.5)  # 0.3, 0.4 and 0.3 s of requests that take 0.4 s


def test_window_opens_when_every_caller_has_had_an_answer() -> None:
    block = measure_closed(lambda clock: QueueClient(clock, 0.1), 4, 2)
    assert min(unpack(block.scheduled)) == -4 * NS // 10
    assert seconds(block) == pytest.approx(0.4)  # no request that found the server idle


def test_a_cancelled_block_keeps_what_it_has() -> None:
    async def measure() -> Block:
        clock = VirtualClock()
        recorder = Recorder(good)
        run = ClosedLoopRun(QueueClient(clock, 0.1), recorder, [0], clock)
        task = asyncio.create_task(run.run(1, 0, 100 * NS))
        await asyncio.sleep(1.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return block_of(recorder, clock.now())

    block = run_virtual(measure())
    assert block.unfinished
    assert block.window_seconds == pytest.approx(0.95)  # it had opened with the first answer
    assert len(seconds(block)) == 9


def test_a_query_of_multi_stream_begins_when_the_last_one_is_answered() -> None:
    async def measure() -> Block:
        clock = VirtualClock()
        recorder = Recorder(good)
        await MultiStreamRun(QueueClient(clock, 0.01), recorder, [0], clock).run(4, 0, NS)
        return block_of(recorder, clock.now())

    block = run_virtual(measure())
    columns = Columns.of(block)
    assert np.unique(columns.scheduled).tolist() == [number * 4 * NS // 100 for number in range(25)]
    assert columns.response_time.reshape(25, 4).max(axis=1) / NS == pytest.approx(0.04)


def test_offline_counts_from_the_start_and_ends_with_the_last_answer() -> None:
    most = 0

    async def measure() -> Block:
        nonlocal most
        clock = VirtualClock()
        recorder = Recorder(good)
        await OfflineRun(QueueClient(clock, 0.01), recorder, [0], clock).run(200)
        most = recorder.most_in_flight
        return block_of(recorder, clock.now())

    block = run_virtual(measure())
    assert most == OFFLINE_IN_FLIGHT
    assert block.window_seconds == pytest.approx(2.0)
    assert block_rate(block) == pytest.approx(100)
    assert seconds(block) == pytest.approx(np.arange(1, 201) / 100)


def test_payloads_go_round_in_the_given_order() -> None:
    async def measure() -> Block:
        clock = VirtualClock()
        recorder = Recorder(good)
        recorder.open(0, NS)
        await OpenLoopRun(QueueClient(clock, 0.001), recorder, [2, 0, 1], clock).run(constant(5, 1), 10)
        return block_of(recorder, clock.now())

    assert Columns.of(run_virtual(measure())).payload.tolist() == [2, 0, 1, 2, 0]
