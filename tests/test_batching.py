"""Batching end to end: real front doors, a real server behind them, and many clients at once."""

import asyncio
import contextlib

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from support import wire_clients as clients
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.backends.embedded import EmbeddedBackend
from gateway.core.batch_size import BatchSize
from gateway.core.tensors import Tensor

DOORS = {"HTTP": clients.oip_binary, "gRPC": clients.oip_grpc}
REQUESTS, CLIENTS = 600, 60


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


class Crowd:
    """Clients of a gateway, before a server that answers as soon as all of them wait for it."""

    def __init__(self, patch):
        self.clients = 0
        self.waiting = lambda: 0
        engine = EmbeddedBackend.__call__

        async def answer(backend, request):
            while self.waiting() < self.clients:
                await asyncio.sleep(0)
            return await engine(backend, request)

        patch.setattr(EmbeddedBackend, "__call__", answer)

    async def ask_all(self, app, target, client):
        """REQUESTS from CLIENTS, each with its own number, which must come back doubled."""
        self.waiting = lambda: app._repository._catalog.get("double").in_flight.count

        async def ask(start):
            self.clients += 1
            for number in range(start, REQUESTS, CLIENTS):
                array = np.full((1 + number % 3, 2), number, np.float32)
                answer = await client(target, "double", Tensor.from_numpy("x", array))
                assert answer.to_numpy().tolist() == (2 * array).tolist()
            self.clients -= 1

        await asyncio.gather(*(ask(start) for start in range(CLIENTS)))


@contextlib.asynccontextmanager
async def stack(store, **backend):
    """A server, a gateway before it with the backend ``server``, and what clients need."""
    async with (
        running(settings(store, {"engine": ENGINE}, models=["double"])) as (_, server),
        running(
            settings(
                store,
                {"server": {"kind": "oip", "url": f"http://{server['http']}", "grpc": server["grpc"], **backend}},
                models=["double"],
            )
        ) as (app, front),
        aiohttp.ClientSession() as session,
        grpc.aio.insecure_channel(front["grpc"]) as channel,
    ):
        yield app, clients.Target(session, channel, front["http"], "server")


def calls_and_rows(app):
    value = app.metrics.registry.get_sample_value
    return tuple(value(f"gateway_batch_size_{part}", {"backend": "server"}) for part in ("count", "sum"))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("door", DOORS)
def test_many_requests_are_few_calls_and_no_answer_crosses(store, monkeypatch, door, protocol):
    crowd = Crowd(monkeypatch)
    monkeypatch.setattr(BatchSize, "limit", lambda *_: 8)  # the most that the model takes; what is best has its tests

    async def run():
        async with stack(store, protocol=protocol, batching={"lanes": {"min": 1, "max": 1}}) as (app, target):
            await crowd.ask_all(app, target, DOORS[door])
            calls, rows = calls_and_rows(app)
            assert rows == sum(1 + number % 3 for number in range(REQUESTS))
            assert calls < REQUESTS / 2
            assert app.metrics.registry.get_sample_value("gateway_queue_depth", {"backend": "server"}) == 0

    uvloop.run(run())


def test_without_batching_every_request_is_a_call(store, monkeypatch):
    crowd = Crowd(monkeypatch)

    async def run():
        async with stack(store, batching=None) as (app, target):
            await crowd.ask_all(app, target, DOORS["HTTP"])
            assert calls_and_rows(app) == (None, None)
            attempts = {"backend": "server", "outcome": "ok"}
            value = app.metrics.registry.get_sample_value
            assert value("gateway_attempt_duration_seconds_count", attempts) == REQUESTS

    uvloop.run(run())


def test_one_client_waits_for_nobody(store):
    async def run():
        async with stack(store) as (app, target):
            for _ in range(20):
                await DOORS["HTTP"](target, "double", Tensor.from_numpy("x", np.ones((1, 2), np.float32)))
            assert calls_and_rows(app) == (20, 20)
            waits = app.metrics.registry.get_sample_value("gateway_queue_wait_seconds_sum", {"backend": "server"})
            assert waits == 0

    uvloop.run(run())
