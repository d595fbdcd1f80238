"""gRPC calls that are turned away with their head."""

import asyncio

import grpc
import numpy as np
import pytest
from support.gateways import ENGINE, running, settings
from support.looped import looped
from support.tiny_store import make_store

from gateway.codecs import oip_grpc, tfs_grpc, torchserve_grpc
from gateway.core.criticality import HEADER
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.frontends.grpc_server import DOORS

GOOD = oip_grpc.encode_request(
    InferRequest("double", (Tensor.from_numpy("x", np.ones((1, 2), np.float32)),), RequestContext("test"))
)
INFERENCES = {
    oip_grpc.INFER_METHOD,
    tfs_grpc.PREDICT_METHOD,
    *(f"/{tfs_grpc.PREDICTION_SERVICE}/{name}" for name in ("Classify", "Regress", "MultiInference")),
    f"/{torchserve_grpc.INFERENCE_SERVICE}/Predictions",
}
METHODS = sorted(f"/{each.path}" for door in DOORS.values() for each in door.operations if each.method != "stream")


async def call(address, method, data=b"", **options):
    """The status of a call, and its trailing metadata."""
    async with grpc.aio.insecure_channel(address) as channel:
        made = channel.unary_unary(method)(data, timeout=10, **options)
        return await made.code(), dict(await made.trailing_metadata() or ())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


def crowded(app, asked):
    def refuses(in_flight, priority, address):
        asked.append((in_flight, priority, address))
        return True

    app._crowd.on, app._crowd.refuses = True, refuses


@looped
async def test_only_inference_is_turned_away(store):
    async with running(settings(store, {"engine": ENGINE})) as (app, addresses):
        asked = []
        crowded(app, asked)
        refused = set()
        for method in METHODS:
            code, trailing = await call(addresses["grpc"], method)
            if code is grpc.StatusCode.UNAVAILABLE:
                assert trailing["retry-after-ms"] == "1000"
                refused.add(method)
        assert refused == INFERENCES
        assert asked == [(0, None, method.encode()) for method in METHODS if method in INFERENCES]


@looped
async def test_who_asks_is_told_what_is_under_way_and_how_critical_the_call_is(store):
    async with running(settings(store, {"engine": ENGINE})) as (app, addresses):
        asked = []
        crowded(app, asked)
        code, _ = await call(addresses["grpc"], oip_grpc.INFER_METHOD, GOOD, metadata=((HEADER, "critical"),))
        assert code is grpc.StatusCode.UNAVAILABLE
        async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
            stream = channel.stream_stream(f"/{oip_grpc.SERVICE}/ModelStreamInfer")()
            await stream.write(GOOD)
            assert await stream.read()  # the stream is under way now
            await call(addresses["grpc"], oip_grpc.INFER_METHOD, GOOD)
            stream.cancel()
        app._crowd.on = False
        code, _ = await call(addresses["grpc"], oip_grpc.INFER_METHOD, GOOD)
        assert code is grpc.StatusCode.OK
        address = oip_grpc.INFER_METHOD.encode()
        assert asked == [(0, b"critical", address), (1, None, address)]


@looped
async def test_calls_that_end_in_any_way_are_not_under_way_any_more(store):
    async with running(settings(store, {"engine": ENGINE})) as (app, addresses):
        address = addresses["grpc"]
        await call(address, oip_grpc.INFER_METHOD, GOOD)
        await call(address, oip_grpc.INFER_METHOD, b"\xff")
        await call(address, "/no.such/Method")
        async with grpc.aio.insecure_channel(address) as channel:
            watching = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
            await watching.read()
            watching.cancel()
            gone = channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
            gone.cancel()
        asked = []
        crowded(app, asked)
        async with asyncio.timeout(10):
            while not asked or asked[-1][0]:  # what was cancelled takes a moment to arrive
                await call(address, oip_grpc.INFER_METHOD, GOOD)
