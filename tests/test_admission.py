"""Admission end to end: every front door, a backend that can do so much and no more, and more clients than that."""

import asyncio
import contextlib
import json
from collections import Counter
from typing import ClassVar

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from support import wire_clients as clients
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.backends.embedded import EmbeddedBackend
from gateway.core.gate import Gate
from gateway.core.tensors import Tensor

GIVEN = Tensor.from_numpy("x", np.ones((1, 2), np.float32))
HTTP_DOORS = {"oip": clients.oip_json, "tfserving": clients.tfs_rest_columns, "torchserve": clients.torchserve_oip}
GRPC_DOORS = {"oip": clients.oip_grpc, "tfserving": clients.tfs_grpc, "torchserve": clients.torchserve_oip_grpc}
DOORS = {
    **{f"{name} HTTP": door for name, door in HTTP_DOORS.items()},
    **{f"{name} gRPC": door for name, door in GRPC_DOORS.items()},
}


class Refused(Exception):
    """Status or code, message, and what the answer says of another try."""

    def __init__(self, status, message, retry_after):
        super().__init__(status, message)
        self.status, self.message, self.retry_after = status, message, retry_after


class Target(clients.Target):
    """Sends ``said`` with every request."""

    said: ClassVar[dict] = {}

    async def post(self, path, body, headers=()):
        async with self.session.post(
            f"http://{self.http}{path}", data=body, headers={**self.said, **dict(headers)}
        ) as answer:
            payload = await answer.read()
            if answer.status != 200:
                document = json.loads(payload)
                message = document.get("error") or document["message"]
                raise Refused(answer.status, message, answer.headers.get("retry-after"))
            self.timing = answer.headers["server-timing"]
            return answer.headers, payload

    async def call(self, method, request, answer):
        call = self.channel.unary_unary(method, lambda m: m.SerializeToString(), answer.FromString)
        try:
            return await call(request, metadata=tuple(self.said.items()))
        except grpc.aio.AioRpcError as error:
            trailing = dict(error.trailing_metadata())
            raise Refused(error.code().name, error.details(), trailing.get("retry-after-ms")) from None


class Engine:
    """The embedded one that answers ``room`` requests at once, each after ``seconds``, or when let go."""

    def __init__(self, patch, room=1000, seconds=0.0):
        self.gone_on, self.inside, self.most = asyncio.Event(), 0, 0
        self.gone_on.set()
        free, real = asyncio.Semaphore(room), EmbeddedBackend.__call__

        async def answer(backend, request):
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                async with free:
                    await asyncio.sleep(seconds)
                    await self.gone_on.wait()
                    return await real(backend, request)
            finally:
                self.inside -= 1

        patch.setattr(EmbeddedBackend, "__call__", answer)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@contextlib.asynccontextmanager
async def gateway(store, admission, **more):
    configuration = settings(store, {"engine": ENGINE}, models=["double"], admission=admission, **more)
    async with (
        running(configuration) as (app, front),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        grpc.aio.insecure_channel(front["grpc"]) as channel,
    ):
        yield app, Target(session, channel, front["http"])


def value(app, name, **labels):
    return app.metrics.registry.get_sample_value(f"gateway_admission_{name}", {"model": "double", **labels})


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_client_over_its_rate_is_told_so_in_every_dialect(store):
    async def run():
        limits = {"rate": 0.4, "burst": 1, "named": {"partner": {"rate": 1000}}}
        async with gateway(store, {"clients": limits}) as (app, target):
            for name, ask in DOORS.items():
                target.said = {"x-gateway-client": name}
                await ask(target, "double", GIVEN)
                with pytest.raises(Refused, match="over its rate limit") as told:
                    await ask(target, "double", GIVEN)
                if "HTTP" in name:  # 2.5 s and less, as a whole number
                    assert (told.value.status, told.value.retry_after) == (429, "3")
                else:
                    assert told.value.status == "RESOURCE_EXHAUSTED"
                    assert 1000 < int(told.value.retry_after) <= 2500
                target.said = {"x-gateway-client": "partner"}
                await ask(target, "double", GIVEN)
            refused = app.metrics.registry.get_sample_value("gateway_rejected_total", {"reason": "rate_limited"})
            assert refused == len(DOORS)

    uvloop.run(run())


def test_what_finds_no_place_is_told_so_in_every_dialect(store, monkeypatch):
    async def run():
        engine = Engine(monkeypatch)
        async with gateway(store, {"limit": {"min": 1, "max": 1}, "wait": 0.02}) as (app, target):
            engine.gone_on.clear()
            first = asyncio.create_task(clients.oip_json(target, "double", GIVEN))
            await until(lambda: engine.inside)
            for name, ask in DOORS.items():
                with pytest.raises(Refused, match="model 'double' is overloaded: its turn did not come") as told:
                    await ask(target, "double", GIVEN)
                # TensorFlow Serving's REST API says 429 of an overloaded model.
                expected = 429 if name == "tfserving HTTP" else 503 if "HTTP" in name else "UNAVAILABLE"
                assert told.value.status == expected
                assert int(told.value.retry_after) >= (1 if "HTTP" in name else 20)
            assert value(app, "refused_total", reason="wait", priority="default") == len(DOORS)
            assert (value(app, "limit"), value(app, "in_flight"), value(app, "waiting")) == (1, 1, 0)
            engine.gone_on.set()
            await first
            await clients.oip_json(target, "double", GIVEN)
            assert value(app, "in_flight") == 0

    uvloop.run(run())


def test_a_wrong_priority_is_the_clients_fault(store):
    async def run():
        async with gateway(store, {}) as (_, target):
            for name, ask in DOORS.items():
                target.said = {"x-gateway-priority": "utmost"}
                with pytest.raises(Refused, match="x-gateway-priority: one of critical, default, sheddable") as told:
                    await ask(target, "double", GIVEN)
                assert told.value.status == (400 if "HTTP" in name else "INVALID_ARGUMENT")
                target.said = {"x-gateway-priority": "sheddable"}
                await ask(target, "double", GIVEN)

    uvloop.run(run())


def test_the_wait_is_told_and_a_client_that_leaves_frees_its_place(store, monkeypatch):
    async def run():
        engine = Engine(monkeypatch)
        async with gateway(store, {"limit": {"min": 1, "max": 1}, "wait": 30}) as (app, target):
            engine.gone_on.clear()
            tasks = [asyncio.create_task(clients.oip_json(target, "double", GIVEN)) for _ in range(3)]
            await until(lambda: value(app, "waiting") == 2)
            gone = asyncio.create_task(clients.oip_grpc(target, "double", GIVEN))
            await until(lambda: value(app, "waiting") == 3)
            gone.cancel()
            await until(lambda: value(app, "waiting") == 2)
            engine.gone_on.set()
            await asyncio.gather(*tasks)
            assert target.timing.startswith("admission;dur=")
            assert value(app, "wait_seconds_count") == 2
            assert (value(app, "in_flight"), value(app, "waiting"), engine.most) == (0, 0, 1)

    uvloop.run(run())


def test_what_the_cache_has_needs_no_place_and_what_it_has_not_waits_for_one(store, monkeypatch):
    async def run():
        engine = Engine(monkeypatch)
        async with gateway(store, {"limit": {"min": 1, "max": 1}, "wait": 30}, cache={}) as (app, target):
            await clients.oip_json(target, "double", GIVEN)
            engine.gone_on.clear()
            other = Tensor.from_numpy("x", np.zeros((1, 2), np.float32))
            held = asyncio.create_task(clients.oip_json(target, "double", other))
            await until(lambda: engine.inside)
            await clients.oip_json(target, "double", GIVEN)
            third = Tensor.from_numpy("x", np.full((1, 2), 3, np.float32))
            waits = asyncio.create_task(clients.oip_json(target, "double", third))
            await until(lambda: value(app, "waiting"))
            engine.gone_on.set()
            await held
            await waits
            assert target.timing.startswith("admission;dur=")

    uvloop.run(run())


def test_settings_that_change_keep_who_is_in(store, monkeypatch):
    async def run():
        engine = Engine(monkeypatch)
        async with gateway(store, {"limit": {"min": 1, "max": 1}, "wait": 30}) as (app, target):
            engine.gone_on.clear()
            tasks = [asyncio.create_task(clients.oip_json(target, "double", GIVEN)) for _ in range(4)]
            await until(lambda: value(app, "waiting") == 3)
            changed = {"admission": {"limit": {"min": 3, "max": 3}, "wait": 30}}
            await app.reconfigure(app._settings.model_validate({**app._settings.model_dump(), **changed}))
            await until(lambda: engine.inside == 3)
            assert (value(app, "limit"), value(app, "in_flight"), value(app, "waiting")) == (3, 3, 1)
            await app.reconfigure(app._settings.model_validate({**app._settings.model_dump(), "admission": None}))
            free = asyncio.create_task(clients.oip_json(target, "double", GIVEN))
            await until(lambda: engine.inside == 4)
            engine.gone_on.set()
            await asyncio.gather(*tasks, free)

    uvloop.run(run())


def test_more_clients_than_the_backend_can_serve(store, monkeypatch):
    async def run():
        room, seconds, loop = 4, 0.05, asyncio.get_running_loop()
        engine = Engine(monkeypatch, room, seconds)
        async with gateway(store, {"limit": {"min": 2, "max": 8}, "queue_size": 12, "wait": 0.05}) as (app, target):
            outcomes, waiting, sent, end = Counter(), [], 0, loop.time() + 2

            async def keep_asking():
                nonlocal sent
                while loop.time() < end:
                    sent += 1
                    waiting.append(value(app, "waiting"))
                    try:
                        await clients.oip_json(target, "double", GIVEN)
                        outcomes["ok"] += 1
                    except Refused as refusal:
                        assert (refusal.status, refusal.retry_after) == (503, "1")
                        outcomes["refused"] += 1
                        await asyncio.sleep(0.1)

            await asyncio.gather(*(keep_asking() for _ in range(40)))
            assert outcomes.total() == sent
            families = {family.name: family.samples for family in app.metrics.registry.collect()}
            refused = sum(sample.value for sample in families["gateway_admission_refused"])
            assert refused == outcomes["refused"] > 0
            assert outcomes["ok"] > 0  # how many is a matter of virtual time: tests/filters/test_admission_overload.py
            assert max(waiting) <= 12
            assert engine.most <= 8
            assert (value(app, "in_flight"), value(app, "waiting")) == (0, 0)
            await clients.oip_json(target, "double", GIVEN)

    uvloop.run(run())


def test_what_would_wait_in_vain_is_refused_unread_and_counted_and_its_connection_stays(store, monkeypatch):
    """Of a body nothing is read but its end: that this one is no request is found out only when it is."""

    async def run():
        async with gateway(store, {"limit": {"min": 1, "max": 1}}) as (app, target):
            path = "/v2/models/double/infer"
            with pytest.raises(Refused) as told:
                await target.post(path, b"no request")
            assert told.value.status == 400
            monkeypatch.setattr(Gate, "waiting", property(lambda _: 1))
            monkeypatch.setattr(Gate, "hopeless", lambda _, context, criticality: criticality.label != "critical")
            connections = len(target.session.connector._conns)
            for _ in range(3):
                with pytest.raises(Refused, match="model 'double' is overloaded: its turn did not come") as told:
                    await target.post(path, b"no request")
                assert (told.value.status, told.value.retry_after) == (503, "1")
            assert len(target.session.connector._conns) == connections
            for ask in (clients.oip_grpc, clients.tfs_grpc, clients.tfs_rest_columns, clients.torchserve_oip):
                with pytest.raises(Refused, match="is overloaded"):
                    await ask(target, "double", GIVEN)
            unread = target.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            with pytest.raises(grpc.aio.AioRpcError, match="is overloaded"):
                await unread(b"\n\x06double and what is no message")
            assert value(app, "refused_total", reason="wait", priority="default") == 8
            durations = {"protocol": "oip-http", "model": "double", "backend": "", "outcome": "overloaded"}
            count = app.metrics.registry.get_sample_value("gateway_request_duration_seconds_count", durations)
            assert count == 3
            assert app.metrics.registry.get_sample_value("gateway_rejected_total", {"reason": "overloaded"}) == 8
            target.said = {"x-gateway-priority": "critical"}
            await clients.oip_json(target, "double", GIVEN)

    uvloop.run(run())


def test_what_may_be_cached_is_read(store, monkeypatch):
    async def run():
        async with gateway(store, {}, cache={}) as (_, target):
            monkeypatch.setattr(Gate, "waiting", property(lambda _: 1))
            monkeypatch.setattr(Gate, "hopeless", lambda *_: True)
            await clients.oip_json(target, "double", GIVEN)

    uvloop.run(run())
