"""What the autoscalers of deploy/kubernetes go by: low while there is room, high when there is none; in virtual time.

Two gateways with batching, before replicas with one engine each that takes requests one by one.
"""

import asyncio
import random

import numpy as np
import pytest
import yaml
from support.kubernetes import KUBERNETES
from support.services import echo, request
from support.virtual_time import run_virtual

from gateway.core.capabilities import EVERYTHING
from gateway.core.clients import Clients
from gateway.core.errors import Overloaded
from gateway.core.gate import Gate, GateLimits
from gateway.core.messages import RequestContext
from gateway.filters.admission import Admission
from gateway.filters.batch import Batch, BatchLimits

EACH, ON_THE_WAY = 0.0115, 0.0005
REPLICAS, SECONDS = 6, 6


def asked_for():
    """How much the autoscaler of a backend wants for each replica."""
    manifest = yaml.safe_load((KUBERNETES / "components" / "autoscaling" / "onnxruntime.yaml").read_text())
    (metric,) = manifest["spec"]["metrics"]
    return float(metric["external"]["target"]["averageValue"])


class Recorder:
    def __getattr__(self, name):
        return lambda *_: None


class Replicas:
    """As one gateway sees them: it sends to the one on which it has the fewest calls."""

    name = "b"
    capabilities = EVERYTHING

    def __init__(self, engines, draw):
        self.engines, self.draw = engines, draw
        self.calls = [0] * len(engines)

    async def __call__(self, message):
        chosen = min(range(len(self.engines)), key=lambda index: (self.calls[index], self.draw.random()))
        self.calls[chosen] += 1
        try:
            await asyncio.sleep(ON_THE_WAY)
            async with self.engines[chosen]:
                await asyncio.sleep(EACH * message.rows * self.draw.uniform(0.9, 1.1))
            await asyncio.sleep(ON_THE_WAY)
            return echo(message)
        finally:
            self.calls[chosen] -= 1


class Gateway:
    """Batching and, where it is wanted, admission."""

    def __init__(self, engines, draw, *, admission):
        clock = asyncio.get_running_loop().time
        self.backend = Replicas(engines, draw)
        limits = BatchLimits(rows=8, nbytes=10**9, queue=1000, least_lanes=1, most_lanes=64)
        self.batch = self.service = Batch(self.backend, self.backend, limits, Recorder(), clock=clock)
        if admission:
            bounds = GateLimits(least=4, most=1000, queue=1000, wait=0.1, sheddable=0.5)
            clients = Clients("x-gateway-client", {})
            gate = Gate("m", bounds, clients, Recorder(), lambda: self.batch.appetite, clock)
            self.service = Admission(self.batch, gate, clock)

    @property
    def demand(self):
        """gateway_inflight_requests + gateway_queue_depth."""
        return sum(self.backend.calls) + self.batch.depth


async def demand(share, *, admission):
    """For each replica, in the mean of the second half, when ``share`` of the capacity is asked for."""
    loop, draw, array = asyncio.get_running_loop(), random.Random(3), np.ones((1, 2), np.float32)
    engines = [asyncio.Lock() for _ in range(REPLICAS)]
    gateways = [Gateway(engines, draw, admission=admission) for _ in range(2)]
    under_way, seen = set(), []

    async def ask(service):
        try:
            async with asyncio.timeout(1):
                await service(request(array=array, context=RequestContext("test", deadline=loop.time() + 1)))
        except (Overloaded, TimeoutError):
            pass

    while loop.time() < SECONDS:
        await asyncio.sleep(draw.expovariate(share * REPLICAS / EACH))
        task = asyncio.create_task(ask(draw.choice(gateways).service))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        if loop.time() > SECONDS / 2:
            seen.append(sum(gateway.demand for gateway in gateways) / REPLICAS)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    return sum(seen) / len(seen)


@pytest.mark.parametrize(("admission", "too_much"), [(False, 20), (True, 1.5)])
def test_backends_get_replicas_when_they_are_needed_and_not_before(admission, too_much):
    assert run_virtual(demand(0.5, admission=admission)) < 0.9 * asked_for()
    assert run_virtual(demand(0.9, admission=admission)) > 1.2 * asked_for()
    assert run_virtual(demand(2, admission=admission)) > too_much * asked_for()
