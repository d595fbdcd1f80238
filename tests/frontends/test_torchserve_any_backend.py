"""Whatever a TorchServe client sends, every kind of backend answers, and all of them the same."""

import asyncio
import base64
import contextlib
import io
import json

import aiohttp
import numpy as np
import pytest
import uvloop
from PIL import Image
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_classifier, make_raw_store, make_store

from gateway.codecs import oip_http
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor

LEVELS = [0.0] * 3 + [50.0] * 3 + [100.0] * 3 + [200.0] * 3


def png():
    buffer = io.BytesIO()
    Image.fromarray(np.array([[[0] * 3, [50] * 3], [[100] * 3, [200] * 3]], np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def oip(binary):
    x = Tensor.from_numpy("x", np.array([[1, 2]], np.float32))
    body, length = oip_http.encode_request(InferRequest("double", (x,), RequestContext("test")), binary=binary)
    return body, {} if length is None else {"Inference-Header-Content-Length": str(length)}


# Model, body, headers, answer (None: an OIP body).
CALLS = {
    "picture": ("picture", png(), {}, LEVELS),
    "picture, typed": ("picture", png(), {"Content-Type": "image/png"}, LEVELS),
    "picture in JSON": (
        "picture",
        json.dumps({"instances": [{"data": base64.b64encode(png()).decode()}]}).encode(),
        {"Content-Type": "application/json"},
        {"predictions": [LEVELS]},
    ),
    "picture in a form": (
        "picture",
        b'--b\r\nContent-Disposition: form-data; name="data"; filename="a.png"\r\n\r\n' + png() + b"\r\n--b--\r\n",
        {"Content-Type": "multipart/form-data; boundary=b"},
        LEVELS,
    ),
    "classifier": ("classifier", png(), {}, ["l9", "l10", "l11", "l6", "l7"]),
    "text": ("text", b"hello", {"Content-Type": "text/plain"}, None),
    "rows": ("double", b"[[1, 2], [3, 4]]", {}, [[2, 4], [6, 8]]),
    "row": ("double", b'{"data": [1, 2]}', {"Content-Type": "application/json"}, [2, 4]),
    "instances": ("double", b'{"instances": [[1, 2]]}', {}, {"predictions": [[2, 4]]}),
    "two inputs": ("pair", b'{"a": [[1, 2]], "b": [[3, 4]]}', {}, {"sum": [[4, 6]], "difference": [[-2, -2]]}),
    "a form of two inputs": (
        "pair",
        b"a=%5B1,2%5D&b=%5B3,4%5D",
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"sum": [4, 6], "difference": [-2, -2]},
    ),
    "OIP, JSON": ("double", *oip(False), None),
    "OIP, binary": ("double", *oip(True), None),
}


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def front(loop, tmp_path_factory):
    """Address of a gateway in front of backends of every kind, all of which are gateways with an engine inside."""
    store = make_classifier(make_raw_store(make_store(tmp_path_factory.mktemp("store"))))
    exits = contextlib.AsyncExitStack()

    async def start():
        _, oip = await exits.enter_async_context(running(settings(store, {"engine": ENGINE})))
        _, tfs = await exits.enter_async_context(running(settings(store, {"engine": ENGINE}, protocols=["tfserving"])))
        _, ts = await exits.enter_async_context(running(settings(store, {"engine": ENGINE}, protocols=["torchserve"])))
        torchserve = {"kind": "torchserve", "url": f"http://{ts['http']}", "grpc": ts["grpc"]}
        backends = {
            "ts-http": torchserve,
            "ts-grpc": torchserve | {"protocol": "grpc", "management": f"http://{ts['http']}"},
            "oip": {"kind": "oip", "url": f"http://{oip['http']}"},
            "tfs": {"kind": "tfserving", "grpc": tfs["grpc"]},
            "here": ENGINE,
        }
        _, front = await exits.enter_async_context(running(settings(store, backends)))
        return front["http"]

    yield loop.run(start())
    loop.run(exits.aclose())


@pytest.mark.parametrize("backend", ["oip", "tfs", "ts-http", "ts-grpc", "here"])
@pytest.mark.parametrize("call", CALLS)
def test_every_body_through_every_backend(loop, front, call, backend):
    model, body, headers, expected = CALLS[call]

    async def ask():
        async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
            url = f"http://{front}/predictions/{model}"
            async with session.post(url, data=body, headers=headers | {"x-gateway-backend": backend}) as answer:
                return answer.status, answer.headers, await answer.read()

    status, answered, body = loop.run(ask())
    assert status == 200, body
    assert answered["x-gateway-served-by"] == backend
    if call.startswith("OIP"):
        length = answered.get("Inference-Header-Content-Length")
        response = oip_http.decode_response(body, None if length is None else int(length))
        assert response.outputs[0].to_numpy().tolist() == [[2, 4]]
        return
    document = json.loads(body)
    if call == "classifier":
        assert list(document) == expected
    elif call == "text":
        assert document
        assert all(isinstance(value, int) for value in document)  # one row of token numbers
    else:
        assert document == expected
