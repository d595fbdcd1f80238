"""A gateway in front of real SavedModels with several signatures: what TensorFlow itself writes and parses."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from support import tensorflow_server
from support.gateways import running, settings
from support.tensorflow_server import MODEL

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The port of a server of the model."""
    command = [sys.executable, tensorflow_server.__file__, str(tmp_path_factory.mktemp("saved"))]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True, cwd=root) as process:
        yield int(process.stdout.readline())
        process.stdin.close()


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def front(server, loop, tmp_path_factory):
    exits = contextlib.AsyncExitStack()
    backend = {"kind": "tfserving", "grpc": f"127.0.0.1:{server}", "models": [MODEL]}
    configuration = settings(tmp_path_factory.mktemp("store"), {"tf": backend})
    _, addresses = loop.run(exits.enter_async_context(running(configuration)))
    yield addresses
    loop.run(exits.aclose())


@pytest.fixture
def rest(loop, front):
    async def exchange(method, path, document):
        async with aiohttp.ClientSession() as session:
            url = f"http://{front['http']}/v1/models/{MODEL}{path}"
            async with session.request(method, url, data=document and json.dumps(document)) as answer:
                return answer.status, await answer.json()

    return lambda method, path, document=None: loop.run(exchange(method, path, document))


def test_signatures_that_can_be_served_are_learned(rest):
    status, document = rest("GET", "/metadata")
    assert (status, document["model_spec"]["version"]) == (200, "123")
    known = document["metadata"]["signature_def"]["signature_def"]
    # Those of an unknown rank, and the initialiser that every SavedModel has, are left out.
    assert sorted(known) == ["classify_x_to_y", "regress_x_to_y", "serving_default"]


def test_each_signature_is_called(rest):
    assert rest("POST", ":predict", {"instances": [[2.0]]}) == (200, {"predictions": [[3.0]]})
    examples = {"examples": [{"x": 1.0}, {"x": 2.0}]}
    assert rest("POST", ":regress", {**examples, "signature_name": "regress_x_to_y"}) == (200, {"results": [2.5, 3.0]})
    classified = rest("POST", ":classify", {**examples, "signature_name": "classify_x_to_y"})
    assert classified == (200, {"results": [[["half", 2.5]], [["half", 3.0]]]})
    # The default signature takes tensors, and gets them made of the features.
    assert rest("POST", ":regress", examples) == (200, {"results": [2.5, 3.0]})


def test_the_common_context_reaches_the_graph(rest):
    body = {"signature_name": "regress_x_to_y", "context": {"x": 4.0}, "examples": [{}, {"x": 2.0}]}
    assert rest("POST", ":regress", body) == (200, {"results": [4.0, 3.0]})


def test_what_the_graph_refuses_is_an_invalid_request(rest):
    status, document = rest("POST", ":regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 1}]})
    assert (status, document) == (400, {"error": "inputs: backend 'tf' did not answer (INVALID_ARGUMENT)"})


def test_clients_of_other_protocols_use_the_default_signature(loop, front):
    import tritonclient.grpc.aio as triton

    async def ask():
        async with triton.InferenceServerClient(front["grpc"]) as client:
            given = triton.InferInput("x", [2, 1], "FP32")
            given.set_data_from_numpy(np.array([[1], [2]], np.float32))
            return (await client.infer(MODEL, [given])).as_numpy("y").tolist()

    assert loop.run(ask()) == [[2.5], [3.0]]


def test_tensorflows_own_protos_read_the_answer(loop, front):
    tf = pytest.importorskip("tensorflow")
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    from gateway.protos.loader import message_class

    request = message_class("tensorflow.serving.PredictRequest")()
    request.model_spec.name = MODEL
    request.inputs["x"].ParseFromString(tf.make_tensor_proto(np.array([[2]], np.float32)).SerializeToString())

    async def call():
        async with grpc.aio.insecure_channel(front["grpc"]) as channel:
            method = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            return await method(request.SerializeToString())

    answer = message_class("tensorflow.serving.PredictResponse").FromString(loop.run(call()))
    y = TensorProto.FromString(answer.outputs["y"].SerializeToString())
    assert tf.make_ndarray(y).tolist() == [[3.0]]
    assert list(y.float_val) == [3.0]
