"""A real gateway's access log, as both ports fill it."""

import asyncio
import json

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from support.gateways import ENGINE, running, settings
from support.logged import logged
from support.tiny_store import make_store

from gateway.codecs import oip_grpc
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor

SECRET = 987654321
INFER = "/v2/models/double/infer"
GOOD = {"id": "seven", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [SECRET, SECRET]}]}
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def gateway(store, loop):
    """The app, which logs every request, and its addresses."""
    served = running(settings(store, {"here": ENGINE}, logs={"access_sample": 1.0}))
    yield loop.run(served.__aenter__())
    loop.run(served.__aexit__(None, None, None))


@pytest.fixture
def lines(monkeypatch):
    with logged(monkeypatch, "gateway.telemetry.access_log", "gateway.backends.embedded") as lines:
        yield lines
    assert not [line for line in lines() if str(SECRET) in json.dumps(line)], "tensor data in the log"


def traceparent(digit):
    return f"00-{digit * 32}-{'b' * 16}-01"


@pytest.fixture
def post(loop, gateway):
    def ask(path, body, digit="a"):
        async def call():
            async with aiohttp.ClientSession() as session:
                headers = {"traceparent": traceparent(digit)}
                async with session.post(f"http://{gateway[1]['http']}{path}", data=body, headers=headers) as answer:
                    return answer.status

        return loop.run(call())

    return ask


@pytest.fixture
def call(loop, gateway):
    def ask(method, data):
        async def run():
            async with grpc.aio.insecure_channel(gateway[1]["grpc"]) as channel:
                return await channel.unary_unary(method)(data, metadata=(("traceparent", traceparent("c")),))

        return loop.run(run())

    return ask


def told(line, *names):
    return tuple(line.get(name) for name in names)


def test_an_answer_over_http(post, lines):
    assert post(INFER, json.dumps(GOOD)) == 200
    (line,) = lines()
    assert told(line, "event", "protocol", "model", "version", "backend", "outcome") == (
        "request",
        "oip-http",
        "double",
        "1",
        "here",
        "ok",
    )
    assert told(line, "trace_id", "request_id", "bytes_in", "bytes_out") == ("a" * 32, "seven", 8, 8)
    assert line["duration_ms"] >= line["backend_ms"] + line["gateway_ms"] - 0.002


def test_an_answer_over_grpc(call, lines):
    tensor = Tensor.from_numpy("x", np.full((1, 2), SECRET, np.float32))
    call(METHOD, oip_grpc.encode_request(InferRequest("double", (tensor,), RequestContext("test"), id="eight")))
    (line,) = lines()
    assert told(line, "protocol", "outcome", "trace_id", "request_id") == ("oip-grpc", "ok", "c" * 32, "eight")


@pytest.mark.parametrize(
    ("path", "body", "known"),
    [
        (INFER, f"[{SECRET}", ("oip-http", "invalid_request", None)),  # by the door, before it is a request
        (INFER, json.dumps({**GOOD, "inputs": []}), ("oip-http", "invalid_request", "double")),
        ("/v2/models/nope/infer", json.dumps(GOOD), ("oip-http", "model_not_found", "nope")),
        ("/v2/repository/models/double/load", b"{}", ("http", "permission_denied", None)),
    ],
)
def test_each_failure_over_http_is_one_line(post, lines, path, body, known):
    assert post(path, body) >= 400
    (line,) = lines()
    assert told(line, "protocol", "outcome", "model") == known
    assert line["level"] == "warning"


def test_a_message_that_cannot_be_read_is_one_line(call, lines):
    with pytest.raises(grpc.aio.AioRpcError):
        call(METHOD, b"\xff")
    (line,) = lines()
    assert told(line, "protocol", "outcome", "trace_id") == ("oip-grpc", "invalid_request", "c" * 32)


def test_what_a_backend_logs_names_the_request(monkeypatch, gateway, post, lines):
    def fail(_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(gateway[0]._backends["here"]._models["double", "1"], "run", fail)
    assert post(INFER, json.dumps(GOOD), "d") == 500
    failed, line = lines()
    assert told(failed, "event", "error", "trace_id", "request_id") == (
        "engine failed",
        "out of luck",
        "d" * 32,
        "seven",
    )
    assert told(line, "outcome", "backend", "trace_id", "request_id") == ("backend_error", "here", "d" * 32, "seven")
