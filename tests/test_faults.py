"""A gateway in front of two model servers, one of them behind a proxy that plays every fault: nobody notices."""

import asyncio
import contextlib
import itertools

import numpy as np
import pytest
from support import fault_proxy
from support.background import in_background
from support.fault_proxy import Delay, FaultProxy, HalfClose, Hang, Pass, Refuse, Reset
from support.gateways import ENGINE, running, settings
from support.looped import looped
from support.tiny_store import make_store

from gateway.config.backends import OIPBackend
from gateway.connect import connect
from gateway.core.errors import GatewayError
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor

MODEL = "double"
BURST = 200
# Half of a burst can be where the fault strikes; the retry budget allows 100 and a fifth of all, which is more.
FAULTS = {
    "refuses": Refuse(),
    "hangs": Hang(),
    "resets before its answer": Reset(),
    "resets within its answer": Reset(after=40),
    "closes its side": HalfClose(),
    "answers 500": fault_proxy.http_error(500),
    "answers 503": fault_proxy.http_error(503),
    "answers garbage": fault_proxy.garbage(),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def servers(store):
    """The addresses of two model servers."""
    server = settings(store, {"ort": ENGINE}, models=[MODEL], parity=None)
    with in_background(server) as first, in_background(server) as second:
        yield first, second


def server_at(address, protocol, **changes):
    """The settings of a backend, or of the test's own client."""
    place = {"url": f"http://{address}"} if protocol == "http" else {"grpc": address}
    return {"kind": "oip", "protocol": protocol, **place, **changes}


class Stack:
    """``app`` is the gateway under test; ``proxy`` stands before its backend ``faulty``."""

    def __init__(self, app, address, protocol, proxy):
        self.app = app
        self.proxy = proxy
        self._client = connect("client", OIPBackend(**server_at(address, protocol)), max_body=10_000)
        self._numbers = itertools.count(1)

    async def ask(self, number):
        """The error; None for the right answer."""
        x = Tensor.from_numpy("x", np.array([[number, -number]], np.float32))
        try:
            response = await self._client(InferRequest(MODEL, (x,), RequestContext("test")))
        except GatewayError as error:
            return error
        assert response.outputs[0].to_numpy().tolist() == [[2 * number, -2 * number]]
        return None

    async def burst(self, count=BURST):
        """The errors of ``count`` requests at once."""
        results = await asyncio.gather(*(self.ask(next(self._numbers)) for _ in range(count)))
        return [result for result in results if result is not None]

    def count(self, metric, **labels):
        """The value of the series with these labels."""
        return self.app.metrics.registry.get_sample_value(metric, labels) or 0

    @property
    def retries(self):
        (metric,) = (each for each in self.app.metrics.registry.collect() if each.name == "gateway_retries")
        return sum(sample.value for sample in metric.samples)

    @property
    def hedges(self):
        cancelled = {"backend": "faulty", "outcome": "cancelled"}
        won, lost = (self.count("gateway_hedges_total", outcome=outcome) for outcome in ("won", "lost"))
        return {
            "won": won,
            "lost": lost,
            "cancelled": self.count("gateway_attempt_duration_seconds_count", **cancelled),
        }

    def answered(self, backend):
        return self.count("gateway_attempt_duration_seconds_count", backend=backend, outcome="ok")

    @property
    def is_healthy(self):
        (model,) = self.app._repository._catalog
        return all(end.healthy for end in model.endpoints if end.backend == "faulty")

    async def is_used_again(self):
        """Return when the backend behind the proxy gets requests; none fails meanwhile."""
        before = self.answered("faulty")
        while self.answered("faulty") == before:
            assert await self.burst(10) == []

    async def close(self):
        await self._client.close()


@contextlib.asynccontextmanager
async def stack(store, servers, protocol, *, timeout=0.3, **changes):
    first, second = (addresses[protocol] for addresses in servers)
    async with FaultProxy(first) as proxy:
        backends = {
            "faulty": server_at(proxy.address, protocol, timeout=timeout),
            "good": server_at(second, protocol),
        }
        async with running(settings(store, backends, models=[MODEL], parity=None, **changes)) as (app, addresses):
            made = Stack(app, addresses[protocol], protocol, proxy)
            try:
                yield made
            finally:
                await made.close()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("fault", FAULTS)
@looped
async def test_no_request_fails_because_one_of_two_backends_does(store, servers, protocol, fault):
    async with stack(store, servers, protocol, health={"interval": 0.2, "timeout": 1.0}) as made:
        while not made.retries:  # the health checks may be the first to meet the fault
            await made.proxy.switch(Pass())
            await made.is_used_again()
            await made.proxy.switch(FAULTS[fault])
            assert await made.burst() == []
        while made.is_healthy:  # until they notice it too
            assert await made.burst(10) == []
        assert await made.burst() == []

        await made.proxy.switch(Pass())
        await made.is_used_again()


@looped
async def test_without_retries_they_do(store, servers):
    async with stack(store, servers, "http", retries={"attempts": 1}, health={"interval": 60}) as made:
        await made.proxy.switch(fault_proxy.http_error(500))
        assert await made.burst() != []
        assert made.retries == 0


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@looped
async def test_who_is_late_is_hedged_and_the_loser_is_cancelled(store, servers, protocol):
    changes = {"hedging": {"budget": 1.0}, "retries": {"attempts": 1}, "health": {"interval": 60}}
    async with stack(store, servers, protocol, timeout=60, **changes) as made:
        while made.answered("faulty") + made.answered("good") < 200:  # the percentile is known
            assert await made.burst(1) == []
        await made.proxy.switch(Delay(3600))
        before = made.hedges
        while made.hedges["won"] == before["won"]:
            assert await made.burst(1) == []
        # Whichever of the two was the second backend, the one that hangs has lost.
        assert made.hedges["cancelled"] - before["cancelled"] == sum(
            made.hedges[outcome] - before[outcome] for outcome in ("won", "lost")
        )
        if protocol == "http":  # which closes the connection; over gRPC it serves other calls
            await made.proxy.until(lambda: not made.proxy.links)
