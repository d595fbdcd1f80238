"""Admission before batching, in virtual time: what batching gains, the limit must not take away."""

import asyncio

import numpy as np
import pytest
from support.services import echo, request
from support.virtual_time import run_virtual

from gateway.core.capabilities import EVERYTHING
from gateway.core.clients import Clients
from gateway.core.errors import Overloaded
from gateway.core.gate import Gate, GateLimits
from gateway.filters.admission import Admission
from gateway.filters.batch import Batch, BatchLimits

ROWS, CALL, ROW = 64, 0.01, 0.0002


class Server:
    """Takes one call at a time."""

    name = "b"
    capabilities = EVERYTHING

    def __init__(self):
        self.free = asyncio.Lock()

    async def __call__(self, message):
        async with self.free:
            await asyncio.sleep(CALL + ROW * message.rows)
        return echo(message)


class Recorder:
    def __getattr__(self, name):
        return lambda *_: None


async def throughput(clients, lanes, *, admission):
    """Answers a second to so many clients, each of whom asks again and again."""
    loop, server, array, answered = asyncio.get_running_loop(), Server(), np.ones((1, 2), np.float32), []
    limits = BatchLimits(rows=ROWS, nbytes=10**6, queue=1000, least_lanes=1, most_lanes=lanes)
    batch = Batch(server, server, limits, Recorder(), clock=loop.time)
    batch._size.limit = batch._size.proven = lambda now: ROWS  # the best size has tests of its own
    bounds = GateLimits(least=4, most=1000, queue=1000, wait=0.1, sheddable=0.5)
    gate = Gate("m", bounds, Clients("x-gateway-client", {}), Recorder(), lambda: batch.appetite, loop.time)
    service = Admission(batch, gate, loop.time) if admission else batch

    async def keep_asking():
        while True:
            try:
                await service(request(array=array))
                answered.append(loop.time())
            except Overloaded:
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(keep_asking()) for _ in range(clients)]
    await asyncio.sleep(2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert gate.in_flight == gate.waiting == 0
    return sum(when >= 0.5 for when in answered) / 1.5


@pytest.mark.parametrize("lanes", [1, 64])
def test_batches_are_as_large_as_without(lanes):
    async def run():
        without = await throughput(100, lanes, admission=False)
        assert await throughput(100, lanes, admission=True) >= 0.95 * without

    run_virtual(run())
