"""``gateway infer``: what it makes of its sources, and the whole way through a running gateway."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.gateways import ENGINE, running, settings
from support.stack import gateway
from support.tiny_store import make_raw_store, make_store

from gateway.client import ClientError
from gateway.infer import Source, build_request
from model_store.errors import InvalidImage, InvalidText
from model_store.store import ModelStore

A, B = np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_raw_store(make_store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def store(root):
    return ModelStore(root)


def inputs(store, model, **source):
    request = build_request(store.get(model), Source(**source))
    return {tensor.name: tensor.to_numpy().tolist() for tensor in request.inputs}


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_a_picture_goes_through_the_declared_steps(store, tmp_path):
    Image.new("RGB", (5, 3), (1, 2, 3)).save(tmp_path / "p.png")
    assert inputs(store, "picture", image=tmp_path / "p.png") == {"x": [[1, 2, 3] * 4]}


def test_a_text_goes_through_the_declared_steps(store):
    assert inputs(store, "text", text="hello world") == {"ids": [[2, 4, 5, 3]], "mask": [[1, 1, 1, 1]]}


@pytest.mark.parametrize("array", [A, A[0]])
def test_an_array_may_come_without_its_batch_dimension(store, tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    assert inputs(store, "double", npy=tmp_path / "x.npy") == {"x": [[1, 2]]}


@pytest.mark.parametrize("a", [A, A[0]])
def test_npz_holds_one_array_for_each_input(store, tmp_path, a):
    path = npz(tmp_path / "both.npz", a=a, b=B)
    assert inputs(store, "pair", npy=path) == {"a": [[1, 2]], "b": [[3, 4]]}
    assert inputs(store, "double", npy=npz(tmp_path / "one.npz", x=A)) == {"x": [[1, 2]]}


@pytest.mark.parametrize(
    ("model", "source", "error", "problem"),
    [
        ("double", {"text": "a"}, InvalidText, "takes tensors, not texts"),
        ("picture", {"text": "a"}, InvalidText, "takes pictures, not texts"),
        ("text", {"image": Path("p.png")}, InvalidImage, "takes texts, not pictures"),
        ("pair", {"npy": "a.npy"}, ClientError, r"takes the inputs \['a', 'b'\]: give them as an .npz or JSON"),
        ("pair", {"npy": "a.npz"}, ClientError, "inputs: 'b' is missing"),
        ("pair", {"npy": "q.npz"}, ClientError, "inputs: unknown input 'q'"),
        ("double", {"npy": "broken.npz"}, ClientError, r"broken\.npz is no \.npy or \.npz file that can be read"),
        ("double", {"npy": "text.npy"}, ClientError, r"text\.npy is no \.npy or \.npz file that can be read"),
        ("double", {"npy": "gone.npy"}, ClientError, r"gone\.npy: No such file"),
        ("double", {}, ClientError, "one of --image, --text, --npy and --json is needed"),
    ],
)
def test_what_does_not_fit_is_named(store, tmp_path, model, source, error, problem):
    np.save(tmp_path / "a.npy", A)
    npz(tmp_path / "a.npz", a=A)
    npz(tmp_path / "q.npz", a=A, q=B)
    (tmp_path / "broken.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:80])
    (tmp_path / "text.npy").write_text("1, 2")
    if "npy" in source:
        source = {"npy": tmp_path / source["npy"]}
    with pytest.raises(error, match=problem):
        build_request(store.get(model), Source(**source))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_text_through_a_running_gateway(root, tmp_path, protocol):
    async def ask():
        async with running(settings(root, {"here": ENGINE})) as (_, addresses):
            ports = {name: int(address.rpartition(":")[2]) for name, address in addresses.items()}
            lines = [f"{name}: {{port: {port}}}" for name, port in ports.items()]
            (tmp_path / "gateway.yaml").write_text("\n".join([*lines, f"model_store: {root}", "backends: {}"]))
            command = ["infer", "text", "--text", "hello", "--protocol", protocol, "--output", "json"]
            # A process of its own, as a user's: a runner in this one would take the gateway's output streams along.
            return await asyncio.to_thread(gateway, *command, "--config", str(tmp_path / "gateway.yaml"))

    done = asyncio.run(ask())
    (answer,) = json.loads(done.stdout)["answers"]
    assert answer["outputs"]["y"] == {"shape": [1, 3], "data": [2, 4, 3]}
    assert answer["top"] == []
