"""What a request makes is freed by its last reference: cycles would wait for the collector, which stops the process."""

import asyncio
import collections
import contextlib
import gc
import json
import types
from functools import partial

import grpc
import numpy as np
import pytest
from support.gateways import ENGINE, running, settings
from support.looped import looped
from support.raw_http import connected, post
from support.tiny_store import make_store

from gateway.backends.embedded import EmbeddedBackend
from gateway.codecs import oip_grpc
from gateway.core.errors import Unavailable
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.protos.loader import message_class

OIP = "/v2/models/{}/infer", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
TFSERVING = "/v1/models/{}:predict", {"instances": [[1, 2]]}
TORCHSERVE = "/predictions/{}", [[1, 2]]
REPEATED = 5
StreamResponse = message_class("inference.ModelStreamInferResponse")


def message(model):
    tensors = (Tensor.from_numpy("x", np.ones((1, 2), np.float32)),)
    return oip_grpc.encode_request(InferRequest(model, tensors, RequestContext("test")))


@contextlib.asynccontextmanager
async def over_http(addresses, form=OIP):
    """Asks once on each of a few connections; gives the statuses."""
    path, document = form
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(addresses["http"])) for _ in range(REPEATED)]

        async def one(client, model, headers):
            lines = [f"{name}: {value}".encode() for name, value in headers.items()]
            await client.send(post(path.format(model), json.dumps(document).encode(), *lines))
            return (await client.answer()).status

        async def ask(model, headers):
            return await asyncio.gather(*(one(client, model, headers) for client in clients))

        yield ask


@contextlib.asynccontextmanager
async def over_grpc(addresses):
    async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
        infer = channel.unary_unary(oip_grpc.INFER_METHOD)

        async def ask(model, headers):
            calls = [infer(message(model), metadata=tuple(headers.items())) for _ in range(REPEATED)]
            return [await call.code() for call in calls]

        yield ask


@contextlib.asynccontextmanager
async def over_a_stream(addresses):
    async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
        stream = channel.stream_stream(oip_grpc.STREAM_METHOD)

        async def ask(model, headers):
            call = stream(iter([message(model)] * REPEATED), metadata=tuple(headers.items()))
            answers = [StreamResponse.FromString(answer) async for answer in call]
            return [answer.error_message for answer in answers]

        yield ask


@contextlib.contextmanager
def uncollected():
    """What only the collector can free is not freed, but is in ``gc.garbage``."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def ours():
    """The collector's finds that are the gateway's."""
    gc.collect()
    names = (_name(thing) for thing in gc.garbage)
    return collections.Counter(name for name in names if name.startswith("gateway"))


def _name(thing):
    if isinstance(thing, types.FrameType):
        return f"{thing.f_globals.get('__name__')}: frame of {thing.f_code.co_qualname}"
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


async def left_behind(app, addresses, clients, expected, model="double", **headers):
    """What requests leave behind that are not the first. Connections last for longer, and do not count."""
    async with clients(addresses) as ask:
        statuses = await ask(model, headers)
        assert any(expected in status if isinstance(expected, str) else expected == status for status in statuses)
        await _settled(app)
        with uncollected():
            await ask(model, headers)
            await _settled(app)
            return ours()


async def _settled(app):
    """Until nothing of a request is under way any more."""
    in_flight = app._catalog.get("double").in_flight
    await in_flight.idle()
    for _ in range(10):
        await asyncio.sleep(0)


async def never(self, request):
    await asyncio.get_running_loop().create_future()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


def few(store, **changes):
    """A gateway whose engine serves one model."""
    return running(settings(store, {"engine": ENGINE}, models=["double"], parity=None, **changes))


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        (over_http, 200),
        (partial(over_http, form=TFSERVING), 200),
        (partial(over_http, form=TORCHSERVE), 200),
        (over_grpc, grpc.StatusCode.OK),
        (over_a_stream, ""),
    ],
    ids=["HTTP", "TensorFlow Serving", "TorchServe", "gRPC", "stream"],
)
@looped
async def test_an_answer_leaves_nothing_to_collect(store, clients, expected):
    async with few(store) as (app, addresses):
        assert not await left_behind(app, addresses, clients, expected)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@looped
async def test_an_answer_of_a_server_leaves_nothing_to_collect(store, protocol):
    async with few(store) as (_, inner):
        server = {"kind": "oip", "protocol": protocol, "url": f"http://{inner['http']}", "grpc": inner["grpc"]}
        async with running(settings(store, {"server": server}, models=["double"], parity=None)) as (app, addresses):
            assert not await left_behind(app, addresses, over_http, 200)


@pytest.mark.parametrize(
    ("clients", "expected"),
    [(over_http, 404), (over_grpc, grpc.StatusCode.NOT_FOUND), (over_a_stream, "unknown model")],
)
@looped
async def test_an_error_leaves_nothing_to_collect(store, clients, expected):
    async with few(store) as (app, addresses):
        assert not await left_behind(app, addresses, clients, expected, "nothing")


@pytest.mark.parametrize(
    ("clients", "expected"),
    [(over_http, 503), (over_grpc, grpc.StatusCode.UNAVAILABLE), (over_a_stream, "overloaded")],
)
@looped
async def test_a_refusal_leaves_nothing_to_collect(store, clients, expected, monkeypatch):
    monkeypatch.setattr(EmbeddedBackend, "__call__", never)
    admission = {"limit": {"min": 1, "max": 1}, "queue_size": 2, "wait": 0.02}
    async with few(store, admission=admission) as (app, addresses):
        assert not await left_behind(app, addresses, clients, expected, **{"x-gateway-timeout-ms": "200"})


@pytest.mark.parametrize(
    ("clients", "expected"),
    [(over_http, 504), (over_grpc, grpc.StatusCode.DEADLINE_EXCEEDED), (over_a_stream, "deadline")],
)
@looped
async def test_a_deadline_leaves_nothing_to_collect(store, clients, expected, monkeypatch):
    monkeypatch.setattr(EmbeddedBackend, "__call__", never)
    async with few(store) as (app, addresses):
        assert not await left_behind(app, addresses, clients, expected, **{"x-gateway-timeout-ms": "20"})


@pytest.mark.parametrize("clients", [over_http, over_grpc])
@pytest.mark.parametrize("changes", [{}, {"cache": {}}], ids=["retries", "cache"])
@looped
async def test_what_backends_refuse_leaves_nothing_to_collect(store, clients, changes, monkeypatch):
    async def refuse(self, request):
        await asyncio.sleep(0.001)
        raise Unavailable("not now")

    monkeypatch.setattr(EmbeddedBackend, "__call__", refuse)
    two = {"one": ENGINE, "other": ENGINE}
    expected = 503 if clients is over_http else grpc.StatusCode.UNAVAILABLE
    async with running(settings(store, two, models=["double"], parity=None, **changes)) as (app, addresses):
        assert not await left_behind(app, addresses, clients, expected)


@pytest.mark.parametrize("clients", [over_http, over_grpc])
@looped
async def test_two_attempts_at_once_leave_nothing_to_collect(store, clients, monkeypatch):
    running_now, most = 0, 0

    async def refuse(self, request):
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.3)  # longer than it was learned that answers take
        running_now -= 1
        raise Unavailable("not now")

    two, hedging = {"one": ENGINE, "other": ENGINE}, {"percentile": 0.5, "budget": 1.0}
    expected = 503 if clients is over_http else grpc.StatusCode.UNAVAILABLE
    async with running(settings(store, two, models=["double"], parity=None, hedging=hedging)) as (app, addresses):
        async with clients(addresses) as ask:
            for _ in range(10):
                await ask("double", {})
        monkeypatch.setattr(EmbeddedBackend, "__call__", refuse)
        assert not await left_behind(app, addresses, clients, expected)
    assert most > REPEATED
