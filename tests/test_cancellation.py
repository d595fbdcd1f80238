"""Clients that leave before they have their answer: their requests end, in the gateway and in the backend."""

import asyncio
import contextlib
from dataclasses import replace

import grpc
import numpy as np
import pytest
from support.background import in_background
from support.fault_proxy import FaultProxy, Hang, reset
from support.gateways import ENGINE, FREE, running, settings
from support.looped import looped
from support.raw_http import connected, post
from support.replica_servers import ADDRESSES, OverGRPC, free_port
from support.tiny_store import make_store

from gateway.codecs.oip_grpc import SERVICE
from gateway.codecs.oip_grpc import encode_request as grpc_request
from gateway.codecs.oip_http import encode_request as http_request
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.frontends.http import HTTPApp
from gateway.frontends.http_server import HTTPServer

MODEL = "double"
REQUEST = InferRequest(MODEL, (Tensor.from_numpy("x", np.ones((1, 2), np.float32)),), RequestContext("test"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def server(store):
    """The addresses of a model server."""
    with in_background(settings(store, {"ort": ENGINE}, models=[MODEL], parity=None)) as addresses:
        yield addresses


class HangsOverHTTP:
    """A backend that hangs. ``reached`` returns when it has a request, ``released`` when it need not answer it."""

    def __init__(self, proxy):
        self._proxy = proxy
        self.settings = {"kind": "oip", "url": f"http://{proxy.address}"}

    async def hang(self):
        await self._proxy.switch(Hang())
        self._received = self._proxy.received

    async def reached(self):
        await self._proxy.until(lambda: self._proxy.received > self._received)

    async def released(self):
        await self._proxy.until(lambda: not self._proxy.links)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, server):
        async with FaultProxy(server["http"]) as proxy:
            yield cls(proxy)


class HangsOverGRPC:
    """The same over gRPC."""

    def __init__(self, server):
        self._server = server
        self.settings = {"kind": "oip", "protocol": "grpc", "grpc": f"{server.address}:{server.port}"}

    async def hang(self):
        self._server.gate.clear()

    def answer(self):
        self._server.gate.set()

    async def reached(self):
        while not self._server.in_flight:
            await asyncio.sleep(0.001)

    async def released(self):
        while self._server.in_flight:
            await asyncio.sleep(0.001)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, _):
        server = await OverGRPC(ADDRESSES[0], free_port(), "1").start()
        try:
            yield cls(server)
        finally:
            server.gate.set()
            await server.kill()


@contextlib.asynccontextmanager
async def http_client(addresses, leave):
    """Sends a request; the inner function leaves."""
    body, length = http_request(REQUEST)
    async with connected(addresses["http"]) as connection:
        header = f"Inference-Header-Content-Length: {length}".encode()
        await connection.send(post(f"/v2/models/{MODEL}/infer", body, header))
        yield lambda: leave(connection.writer)


@contextlib.asynccontextmanager
async def closing(addresses):
    async with http_client(addresses, lambda writer: writer.close()) as leave:
        yield leave


@contextlib.asynccontextmanager
async def resetting(addresses):
    async with http_client(addresses, lambda writer: reset(writer.transport)) as leave:
        yield leave


@contextlib.asynccontextmanager
async def cancelling(addresses):
    async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")(grpc_request(REQUEST))
        waiting = asyncio.ensure_future(call.code())
        yield call.cancel
        await waiting


@contextlib.asynccontextmanager
async def gateway(store, backend):
    changes = {"health": {"interval": 60}, "models": [MODEL], "parity": None}
    async with running(settings(store, {"b": backend.settings}, **changes)) as running_one:
        yield running_one


@pytest.mark.parametrize("backend_kind", [HangsOverHTTP, HangsOverGRPC], ids=["to-http", "to-grpc"])
@pytest.mark.parametrize("client", [closing, resetting, cancelling])
@looped
async def test_the_backend_is_released_when_the_client_leaves(store, server, client, backend_kind):
    async with backend_kind.open(server) as backend, gateway(store, backend) as (app, addresses):
        await backend.hang()
        async with client(addresses) as leave:
            await backend.reached()
            leave()
            await backend.released()
        protocol = "oip-grpc" if client is cancelling else "oip-http"
        labels = {"protocol": protocol, "model": MODEL, "backend": "b", "outcome": "cancelled"}
        assert app.metrics.registry.get_sample_value("gateway_request_duration_seconds_count", labels) == 1


@looped
async def test_a_client_that_has_closed_its_side_alone_is_waited_for(store, server):
    async with HangsOverGRPC.open(server) as backend, gateway(store, backend) as (_, addresses):
        await backend.hang()
        body, length = http_request(REQUEST)
        async with connected(addresses["http"]) as connection:
            header = f"Inference-Header-Content-Length: {length}".encode()
            await connection.send(post(f"/v2/models/{MODEL}/infer", body, header))
            connection.writer.write_eof()
            await backend.reached()
            for _ in range(3):  # one that is gone would be given up at the second
                assert (await connection.answer()).status == 100
            backend.answer()
            answer = await connection.answer()
    assert answer.status == 500  # the server's answer lacks the outputs


class SlowRepository:
    """Loads when it is told that it may."""

    def __init__(self):
        self.asked, self.may, self.loaded = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def load(self, name, **_):
        self.asked.set()
        await self.may.wait()
        self.loaded.set()


@looped
async def test_who_loads_a_model_and_leaves_gets_it_loaded_all_the_same(store, server):
    async with HangsOverGRPC.open(server) as backend, gateway(store, backend) as (app, _):
        repository = SlowRepository()
        doors = replace(app._server, repository=repository, authorization=app._server.authorization.with_loopback())
        http = HTTPServer(HTTPApp(doors, ["oip"]), drain_timeout=1, limits=doors.limits)
        address = f"{FREE['host']}:{http.bind(**FREE)}"
        await http.start()
        async with connected(address) as connection:
            await connection.send(post(f"/v2/repository/models/{MODEL}/load", b"{}"))
            await repository.asked.wait()
            reset(connection.writer.transport)
        while http.open_connections:
            await asyncio.sleep(0.001)
        repository.may.set()
        await repository.loaded.wait()
        await http.stop()
