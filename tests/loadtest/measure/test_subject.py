"""What a server does wrong under load: counted by kind, never among the good times, never longer than the time-out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import uvloop
from support.faulty_server import GOOD, FaultyServer
from support.load_servers import payload_of
from support.manifests import make_signature

from gateway.core.datatypes import Datatype
from gateway.core.tensors import Tensor
from loadtest.clock import NS, open_clock
from loadtest.generator.recorder import Recorder
from loadtest.load.loads import AnyLoad, ClosedLoop, Constant
from loadtest.load.seeds import Seeds
from loadtest.measure.settings import Settings
from loadtest.measure.subject import Subject
from loadtest.payloads.workload import MeasuredModel, Workload
from loadtest.results.block import Block, Columns, failure_counts
from loadtest.targets.target import Target

MODEL = MeasuredModel(
    "tiny", "1", make_signature([("x", Datatype.FP32, (-1, 2))], [("y", Datatype.FP32, (-1, 2))]), "", {}
)
WORKLOAD = Workload((payload_of(MODEL, [Tensor.from_numpy("x", np.ones((1, 2), np.float32))]),))
TIMEOUT = 0.4


def body(values: list[float], shape: list[int] | None = None) -> bytes:
    tensor = {"name": "y", "datatype": "FP32", "shape": shape or [1, len(values)], "data": values}
    return json.dumps({"model_name": "tiny", "outputs": [tensor]}).encode()


BODIES = {GOOD: body([1.5, 2.5]), "wrong shape": body([1.5]), "wrong values": body([1.5, 9.5])}


def target(address: str) -> Target:
    return Target("b", "", "direct", "HTTP", "oip-json", address, "b direct HTTP")


def run(scenario: Callable[[FaultyServer, Subject], Awaitable[None]]) -> Subject:
    async def everything() -> Subject:
        settings = Settings(seconds=0.6, repetitions=1, timeout=TIMEOUT, most_in_flight=100, seeds=Seeds(1, 2, 3))
        async with FaultyServer(BODIES) as server:
            with open_clock() as clock, open_clock() as lag_clock:
                subject = Subject(target(server.address), WORKLOAD, settings, clock, lag_clock)
                try:
                    await subject.interview()
                    await scenario(server, subject)
                finally:
                    await subject.disconnect()
                return subject

    return uvloop.run(everything())


async def served(server: FaultyServer, count: int) -> None:
    """Wait until ``server`` has had ``count`` requests more."""
    goal = server.served + count
    async with asyncio.timeout(30):
        while server.served < goal:
            await asyncio.sleep(0.001)


async def turn_bad(server: FaultyServer, mode: str) -> None:
    """Be ``mode`` for 15 requests when the window is open, and good again.

    The lead-in is 0.3 s, in which the open loop sends 90 requests and the closed one 240 at most.
    """
    await served(server, 300)
    server.mode = mode
    await served(server, 15)
    server.mode = GOOD


def measured_while(mode: str, load: AnyLoad) -> tuple[Block, Subject]:
    """A block during which the server turns bad for a while, and good again."""

    async def scenario(server: FaultyServer, subject: Subject) -> None:
        bad = asyncio.create_task(turn_bad(server, mode))
        await subject.measure(load, window=3 * NS // 2)
        await bad

    subject = run(scenario)
    (block,) = subject.blocks
    return block, subject


@pytest.mark.parametrize("load", [ClosedLoop(concurrency=4), Constant(rate=300)], ids=["closed", "open"])
@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("500", {"HTTP 500"}),
        ("reset", {"connection lost"}),
        ("garbage", {"not HTTP"}),
        ("wrong shape", {"wrong answer"}),
    ],
)
def test_a_server_that_is_bad_for_a_while(mode: str, kinds: set[str], load: AnyLoad) -> None:
    block, subject = measured_while(mode, load)
    failures = failure_counts([block])
    assert failures.keys() == kinds
    assert 1 <= sum(failures.values()) <= 30
    good = Columns.of(block)
    assert len(good.scheduled) > 30
    assert len(good.scheduled) + sum(failures.values()) == block.offered
    assert not subject.problem


def test_the_servers_words_are_kept() -> None:
    block, _ = measured_while("500", Constant(rate=300))
    assert "out of memory" in block.details["HTTP 500"]


def test_a_server_that_hangs_costs_no_more_than_the_time_out() -> None:
    async def scenario(server: FaultyServer, subject: Subject) -> None:
        server.mode = "hang"
        began = asyncio.get_running_loop().time()
        await subject.measure(Constant(rate=100))
        taken.append(asyncio.get_running_loop().time() - began)

    taken: list[float] = []
    subject = run(scenario)
    (block,) = subject.blocks
    assert failure_counts([block]).keys() == {"timeout"}
    # The last request may be sent at the end of the window, and connections are looked at a few times a second.
    assert taken[0] < 10 * (0.12 + 0.6 + TIMEOUT)


def test_wrong_values_of_the_right_size_are_found_after_the_block() -> None:
    async def scenario(server: FaultyServer, subject: Subject) -> None:
        server.mode = "wrong values"
        await subject.measure(Constant(rate=200))

    subject = run(scenario)
    (block,) = subject.blocks
    assert block.compared > 10
    assert failure_counts([block])["wrong values"] > 10


def test_a_server_that_dies_ends_the_targets_part() -> None:
    async def scenario(server: FaultyServer, subject: Subject) -> None:
        await subject.measure(ClosedLoop(concurrency=2))
        server.refuse()
        await subject.measure(ClosedLoop(concurrency=2), 1)
        assert await subject.measure(ClosedLoop(concurrency=2), 2) is None

    subject = run(scenario)
    assert subject.problem.startswith("connect")
    assert len(subject.blocks) >= 1


def test_more_in_flight_than_allowed_void_the_load_and_it_is_not_tried_again() -> None:
    async def scenario(server: FaultyServer, subject: Subject) -> None:
        server.mode = "hang"
        await subject.measure(Constant(rate=500))
        assert await subject.measure(Constant(rate=500), 1) is None

    subject = run(scenario)
    (block,) = subject.blocks
    assert block.void == "cannot keep up: 100 requests in flight"


def test_a_cancelled_block_is_kept() -> None:
    async def scenario(server: FaultyServer, subject: Subject) -> None:
        block = asyncio.create_task(subject.measure(ClosedLoop(concurrency=1), window=100 * NS))
        await served(server, 300)
        block.cancel()
        with pytest.raises(asyncio.CancelledError):
            await block

    (block,) = run(scenario).blocks
    assert block.unfinished
    assert len(Columns.of(block).scheduled) > 10


def test_a_watcher_sees_the_answers_come() -> None:
    seen: list[int] = []

    def watch(recorder: Recorder) -> None:
        seen.append(len(recorder.response_times(0)))
        recorder.close(0)

    async def scenario(server: FaultyServer, subject: Subject) -> None:
        await subject.measure(ClosedLoop(concurrency=1), window=100 * NS, watch=watch)

    run(scenario)
    assert seen[0] > 10


def test_repetitions_have_arrivals_of_their_own_and_seeds_fix_them() -> None:
    def due(repetition: int, seed: int) -> Any:
        async def scenario(server: FaultyServer, subject: Subject) -> None:
            await subject.measure(Constant(rate=100), repetition, arrivals_seed=seed)

        return Columns.of(run(scenario).blocks[0]).scheduled.tolist()

    assert due(0, 1) == due(0, 1)
