"""Pictures and texts sent to a real gateway over every protocol, with the real ONNX Runtime behind it."""

import asyncio
import base64
import io
import json
import sys

import aiohttp
import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton_grpc
import tritonclient.http.aio as triton_http
import uvloop
from PIL import Image
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_raw_store

from gateway.app import App
from gateway.codecs import tfs_grpc
from gateway.core.datatypes import Datatype
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor, join_bytes
from model_store.errors import CorruptArtifact

TEXTS = ["hello world", "Gateway"]
TOKENS = [[2, 4, 5, 3], [2, 6, 3, 0]]


def picture(*colour, file_format="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (5, 3), colour).save(buffer, file_format)
    return buffer.getvalue()


PICTURES = [picture(1, 2, 3), picture(250, 0, 9, file_format="BMP")]
PIXELS = [[1, 2, 3] * 4, [250, 0, 9] * 4]


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def front(loop, tmp_path_factory):
    configuration = settings(
        make_raw_store(tmp_path_factory.mktemp("store")), {"here": ENGINE}, protocols=["oip", "tfserving"]
    )
    gateway = running(configuration)
    _, addresses = loop.run(gateway.__aenter__())
    yield addresses
    loop.run(gateway.__aexit__(None, None, None))


@pytest.fixture
def post(loop, front):
    async def ask(path, body):
        async with aiohttp.ClientSession(f"http://{front['http']}") as session:
            async with session.post(path, json=body) as answer:
                return answer.status, await answer.json()

    return lambda path, body: loop.run(ask(path, body))


def given(client, name, values):
    array = np.array(values, dtype=np.object_)
    made = client.InferInput(name, list(array.shape), "BYTES")
    made.set_data_from_numpy(array)
    return [made]


@pytest.mark.parametrize(
    ("model", "name", "elements", "expected"),
    [
        ("text", "text", TEXTS, TOKENS),
        ("picture", "image", PICTURES, PIXELS),
        ("text", "any", [["hello"]], [[2, 4, 3]]),
    ],
)
def test_tritonclient_sends_pictures_and_texts(loop, front, model, name, elements, expected):
    async def over_http():
        async with triton_http.InferenceServerClient(front["http"]) as client:
            return (await client.infer(model, given(triton_http, name, elements))).as_numpy("y").tolist()

    async def over_grpc():
        async with triton_grpc.InferenceServerClient(front["grpc"]) as client:
            return (await client.infer(model, given(triton_grpc, name, elements))).as_numpy("y").tolist()

    assert loop.run(over_http()) == loop.run(over_grpc()) == expected


def test_texts_as_json(post):
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": TEXTS}]}
    status, answer = post("/v2/models/text/infer", body)
    assert (status, answer["outputs"][0]["data"]) == (200, [number for row in TOKENS for number in row])


def test_tensorflow_servings_rest(post):
    rows = {"instances": [{"text": text} for text in TEXTS]}
    assert post("/v1/models/text:predict", rows) == (200, {"predictions": TOKENS})
    assert post("/v1/models/text:predict", {"inputs": {"text": TEXTS}}) == (200, {"outputs": TOKENS})
    encoded = [{"image": {"b64": base64.b64encode(content).decode()}} for content in PICTURES]
    assert post("/v1/models/picture:predict", {"instances": encoded}) == (200, {"predictions": PIXELS})


def test_tensorflow_servings_grpc(loop, front):
    tensor = Tensor("image", Datatype.BYTES, (2,), join_bytes(PICTURES))
    message = tfs_grpc.encode_predict_request(InferRequest("picture", (tensor,), RequestContext("test")))

    async def ask():
        async with grpc.aio.insecure_channel(front["grpc"]) as channel:
            return tfs_grpc.decode_predict_response(await channel.unary_unary(tfs_grpc.PREDICT_METHOD)(message))

    assert loop.run(ask()).outputs[0].to_numpy().tolist() == PIXELS


def test_tensors_are_taken_as_ever(post):
    x = {"name": "x", "datatype": "FP32", "shape": [1, 12], "data": PIXELS[0]}
    status, answer = post("/v2/models/picture/infer", {"inputs": [x]})
    assert (status, answer["outputs"][0]["data"]) == (200, PIXELS[0])


@pytest.mark.parametrize(
    ("model", "data", "problem"),
    [
        ("picture", ["nope"], "inputs['raw']: element 0: the given 4 bytes is not a picture that can be read"),
        ("picture", ["a"] * 9, "inputs['raw']: batch size 9 is over the model's maximum of 8"),
        ("text", ["fine", "x" * 100_001], "inputs['raw']: element 1: 100001 characters are over the limit"),
    ],
)
def test_what_cannot_be_used_is_a_precise_400(post, model, data, problem):
    body = {"inputs": [{"name": "raw", "datatype": "BYTES", "shape": [len(data)], "data": data}]}
    status, answer = post(f"/v2/models/{model}/infer", body)
    assert status == 400
    assert problem in answer["error"]


def test_the_metadata_states_the_tensors(loop, front):
    async def ask():
        async with triton_http.InferenceServerClient(front["http"]) as client:
            return await client.get_model_metadata("text")

    assert [entry["name"] for entry in loop.run(ask())["inputs"]] == ["ids", "mask"]


def test_without_the_package_only_tensors_are_taken(loop, tmp_path, monkeypatch):
    store = make_raw_store(tmp_path)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hello"]}]}

    async def ask():
        async with running(settings(store, {"here": ENGINE})) as (_, addresses), aiohttp.ClientSession() as session:
            async with session.post(f"http://{addresses['http']}/v2/models/text/infer", json=body) as answer:
                return answer.status, json.loads(await answer.read())["error"]

    assert loop.run(ask()) == (400, "inputs: unknown input 'text'; the model takes ['ids', 'mask']")


def test_a_damaged_tokenizer_stops_the_start(tmp_path):
    store = make_raw_store(tmp_path)
    (store / "text" / "1" / "tokenizer.json").write_text("{")
    with pytest.raises(CorruptArtifact, match=r"tokenizer\.json is no tokenizer"):
        App(settings(store, {"here": ENGINE}))
