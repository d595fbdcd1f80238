"""TorchServe's gRPC protocol in front of real models."""

import asyncio
import io
import json

import grpc
import numpy as np
import pytest
import uvloop
from PIL import Image
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_raw_store, make_store

from gateway.codecs import oip_http
from gateway.codecs.torchserve_grpc import unframe_oip
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.protos.loader import message_class

INFERENCE = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/"
MANAGEMENT = "/org.pytorch.serve.grpc.management.ManagementAPIsService/"
Request = message_class("org.pytorch.serve.grpc.inference.PredictionsRequest")
Response = message_class("org.pytorch.serve.grpc.inference.PredictionResponse")
Health = message_class("org.pytorch.serve.grpc.inference.TorchServeHealthResponse")
Answer = message_class("org.pytorch.serve.grpc.management.ManagementResponse")


def managed(name, **fields):
    return message_class(f"org.pytorch.serve.grpc.management.{name}Request")(**fields).SerializeToString()


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def address(loop, tmp_path_factory):
    root = make_raw_store(make_store(tmp_path_factory.mktemp("store")))
    context = running(settings(root, {"here": ENGINE}, protocols=["torchserve"], control={"loopback": True}))
    yield loop.run(context.__aenter__())[1]["grpc"]
    loop.run(context.__aexit__(None, None, None))


@pytest.fixture
def call(loop, address):
    """The answer of a unary method to bytes; raises AioRpcError."""

    async def exchange(method, data):
        async with grpc.aio.insecure_channel(address) as channel:
            return await channel.unary_unary(method)(data)

    return lambda method, data=b"": loop.run(exchange(method, data))


@pytest.fixture
def predict(call):
    def predict(model, version="", **parts):
        message = Request(model_name=model, model_version=version, input=parts)
        return Response.FromString(call(f"{INFERENCE}Predictions", message.SerializeToString())).prediction

    return predict


@pytest.fixture
def code(call):
    """Status code and text of a call that fails."""

    def code(method, data=b""):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            call(method, data)
        return caught.value.code(), caught.value.details()

    return code


def test_the_numbers_on_the_wire_are_torchserves():
    message = Request(model_name="m", model_version="1", input={"data": b"x"}, sequence_id="s")
    assert message.SerializeToString() == b"\x0a\x01m\x12\x011\x1a\x09\x0a\x04data\x12\x01x\x22\x01s"
    response = Response(prediction=b"p", sequence_id="s")
    response.status.code = 3
    assert response.SerializeToString() == b"\x0a\x01p\x12\x01s\x1a\x02\x08\x03"
    register = managed("RegisterModel", batch_size=1, model_name="m", url="u", startup_timeout=2)
    assert register == b"\x08\x01\x2a\x01m\x4a\x01u\x58\x02"


def test_ping(call):
    assert json.loads(Health.FromString(call(f"{INFERENCE}Ping")).health) == {"status": "Healthy"}


def test_pictures_texts_and_rows(predict):
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 2, 3), 7, np.uint8)).save(buffer, "PNG")
    assert json.loads(predict("picture", data=buffer.getvalue())) == [7] * 12
    assert json.loads(predict("text", body=b"hello world")) == json.loads(predict("text", data=b"hello world"))
    assert json.loads(predict("double", data=b"[[1, 2]]")) == [[2, 4]]
    assert json.loads(predict("double", version="1.0", body=b'{"instances": [[1, 2]]}')) == {"predictions": [[2, 4]]}
    assert json.loads(predict("pair", a=b"[1, 2]", b=b"[10, 20]")) == {"sum": [11, 22], "difference": [-9, -18]}


def test_an_oip_body_with_its_header_length_beside_it_is_answered_with_that_in_front(predict):
    x = Tensor.from_numpy("x", np.array([[1, 2]], np.float32))
    body, length = oip_http.encode_request(InferRequest("double", (x,), RequestContext("test")))
    parts = {"body": body, "Inference-Header-Content-Length": str(length).encode()}
    response = oip_http.decode_response(*unframe_oip(predict("double", **parts)))
    assert response.outputs[0].to_numpy().tolist() == [[2, 4]]
    body, _ = oip_http.encode_request(InferRequest("double", (x,), RequestContext("test")), binary=False)
    for asked in (body, body.replace(b'"binary_data_output":false', b'"binary_data_output":true')):
        response = oip_http.decode_response(predict("double", body=asked), None)
        assert response.outputs[0].to_numpy().tolist() == [[2, 4]]


def test_streams(loop, address):
    good = Request(model_name="double", input={"data": b"[1, 2]"}, sequence_id="s").SerializeToString()
    bad = Request(model_name="nope", input={"data": b"[1, 2]"}, sequence_id="t").SerializeToString()

    async def ask():
        async with grpc.aio.insecure_channel(address) as channel:
            one = [Response.FromString(a) async for a in channel.unary_stream(f"{INFERENCE}StreamPredictions")(good)]
            stream = channel.stream_stream(f"{INFERENCE}StreamPredictions2")
            many = [Response.FromString(answer) async for answer in stream(iter([good, bad, b"\xff", good]))]
        return one, many

    one, many = loop.run(ask())
    assert [json.loads(answer.prediction) for answer in one] == [[2, 4]]
    assert [answer.sequence_id for answer in many] == ["s", "t", "", "s"]
    assert [answer.HasField("status") for answer in many] == [False, True, True, False]
    assert (many[1].status.code, "unknown model 'nope'" in many[1].status.message) == (5, True)  # NOT_FOUND
    assert many[2].status.code == 3  # INVALID_ARGUMENT
    assert json.loads(many[3].prediction) == [2, 4]


def test_a_stream_that_fails_ends_with_its_status(loop, address):
    async def ask():
        async with grpc.aio.insecure_channel(address) as channel:
            data = Request(model_name="nope").SerializeToString()
            return [answer async for answer in channel.unary_stream(f"{INFERENCE}StreamPredictions")(data)]

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        loop.run(ask())
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "data", "status", "problem"),
    [
        ("Predictions", b"\xff", "INVALID_ARGUMENT", "PredictionsRequest"),
        ("Predictions", Request(input={"data": b""}), "INVALID_ARGUMENT", "model_name"),
        ("Predictions", Request(model_name="double"), "INVALID_ARGUMENT", "empty"),
        ("Predictions", Request(model_name="double", input={"data": b"x"}), "INVALID_ARGUMENT", "neither pictures"),
        ("Predictions", Request(model_name="double", model_version="9"), "NOT_FOUND", "no version '9'"),
    ],
)
def test_bad_requests(code, method, data, status, problem):
    got, text = code(INFERENCE + method, data if isinstance(data, bytes) else data.SerializeToString())
    assert got is grpc.StatusCode[status]
    assert problem in text


def test_management(call, code):
    def ask(method, data=b""):
        return Answer.FromString(call(MANAGEMENT + method, data)).msg

    (first,) = json.loads(ask("ListModels", managed("ListModels", limit=1)))["models"]
    assert first["modelUrl"] == f"{first['modelName']}.mar"
    (model,) = json.loads(ask("DescribeModel", managed("DescribeModel", model_name="double")))
    assert model["workers"][0]["status"] == "READY"
    assert code(MANAGEMENT + "ScaleWorker")[0] is grpc.StatusCode.UNIMPLEMENTED
    default = managed("SetDefault", model_name="double", model_version="1")
    assert "successfully updated" in ask("SetDefault", default)
    assert code(MANAGEMENT + "SetDefault")[0] is grpc.StatusCode.NOT_FOUND
    url = managed("RegisterModel", url="http://a.example/m.mar")
    assert code(MANAGEMENT + "RegisterModel", url)[0] is grpc.StatusCode.PERMISSION_DENIED
    assert code(MANAGEMENT + "RegisterModel")[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert ask("UnregisterModel", managed("UnregisterModel", model_name="pair")) == 'Model "pair" unregistered'
    assert "registered with" in ask("RegisterModel", managed("RegisterModel", url="pair.mar"))
    again = managed("RegisterModel", url="pair.mar")
    assert code(MANAGEMENT + "RegisterModel", again)[0] is grpc.StatusCode.ABORTED
