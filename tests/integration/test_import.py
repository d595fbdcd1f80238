"""``model-store import`` as users run it: what works, what is refused in one sentence, and a store that stays whole."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_store.manifest import verify_checksums
from model_store.store import ModelStore

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MODULE = """
import sys
import torch
print("noise" * 1000)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.EmbeddingBag(10, 4)
        self.scale = torch.nn.Linear(4, 3)
    def forward(self, input, factor=None):
        scores = self.scale(self.embedding(input))
        return {"embedding": scores, "input": input, "best": scores.argmax(-1), "none": None}
class Noisy(Net):
    def forward(self, input):
        return super().forward(input)["embedding"] + torch.randn(3)
class Blind(Net):
    def forward(self, input):
        return super().forward(input)["embedding"].log()
def leaves(): sys.exit(2)
def hangs():
    import time
    time.sleep(1000)
def nothing(): pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's files."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "net.py").write_text(textwrap.dedent(MODULE))
    np.save(folder / "words.npy", np.array([[1, 2, 3]]))
    np.save(folder / "empty.npy", np.zeros((0, 3), np.int64))
    weights = numpy_helper.from_array(np.ones((4, 3), np.float32), "weights")
    write_onnx(folder / "good.onnx", [helper.make_node("MatMul", ["x", "weights"], ["y"])], [weights])
    write_onnx(folder / "custom.onnx", [helper.make_node("Magic", ["x"], ["y"], domain="my.corp")])
    write_onnx(folder / "quick.onnx", [helper.make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft")])
    (folder / "junk.onnx").write_bytes(b"junk" * 100)
    with zipfile.ZipFile(folder / "bomb.pt2", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("a/data", bytes(200_000_000))
    return folder


def write_onnx(path, nodes, weights=()):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None]) for name in ("x", "y")]
    values[0].type.tensor_type.shape.dim[1].dim_value = 4
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], list(weights))
    opsets = [helper.make_opsetid(*opset) for opset in (("", 17), ("my.corp", 1), ("com.microsoft", 1))]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


@pytest.fixture(scope="module")
def store(folder, tmp_path_factory):
    """A store with one good model, ``good``."""
    root = tmp_path_factory.mktemp("store")
    made = run(folder, root, "good.onnx", "--name", "good", "--only", "onnx")
    assert made.returncode == 0, made.stderr
    return ModelStore(root)


def command(root, *arguments):
    return [sys.executable, "-m", "model_store.cli", "import", *map(str, arguments), "--store", str(root)]


def run(folder, root, *arguments, **environment):
    return subprocess.run(
        command(root, *arguments),
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def state(store):
    """Everything in the store but logs, by path, with what it is."""
    files = [path for path in store.root.rglob("*") if ".logs" not in path.parts and path.name != ".lock"]
    return {path: (path.is_symlink(), path.stat().st_mtime_ns if path.is_file() else 0) for path in files}


def test_a_module_of_ones_own_goes_to_all_servers(folder, tmp_path):
    """With free text length, a noisy file, an optional argument, and outputs named like an input and a layer."""
    made = run(folder, tmp_path, "net.py:Net", "--name", "net", "--sample", "words.npy")
    assert made.returncode == 0, made.stderr
    model = ModelStore(tmp_path).get("net")
    assert set(model.manifest.artifacts) == {"onnx", "tensorflow", "torchserve"}
    assert [spec.name for spec in model.manifest.signature.outputs] == ["embedding", "input_output", "best"]
    again = run(folder, tmp_path, "net.py:Net", "--name", "net", "--sample", "words.npy")
    assert "up to date" in again.stdout


def test_an_operator_that_one_server_lacks_is_named_and_the_others_are_built(folder, tmp_path):
    made = run(folder, tmp_path, "quick.onnx", "--name", "quick")
    assert made.returncode == 3, made.stderr
    assert set(ModelStore(tmp_path).get("quick").manifest.artifacts) == {"onnx", "torchserve"}
    last = made.stderr.splitlines()[-1]
    assert "quick: not built for tensorflow: ONNX → TensorFlow" in last
    assert "com.microsoft.QuickGelu" in last
    assert "rewrite the operator with others" in last


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("net.py:Nett", "--sample", "words.npy"), 1, "has no 'Nett'; it defines Net, Noisy, Blind"),
        (("net.py",), 2, "say what in it makes the model, as in net.py:build"),
        (("net.py:Net", "--sample", "gone.npy"), 2, "gone.npy: no such file"),
        (("net.py:Net", "--sample", "empty.npy"), 1, "empty.npy is empty: its shape is [0, 3]"),
        (("net.py:Noisy", "--sample", "words.npy"), 1, "is not deterministic: output 'output'"),
        (("net.py:Blind", "--sample", "words.npy"), 1, "answers NaN or Infinity in output 'output'"),
        (("net.py:leaves", "--sample", "words.npy"), 1, "sys.exit(2): an import gives it no command-line arguments"),
        (("net.py:hangs", "--sample", "words.npy"), 1, "took longer than 12 s (set MODEL_STORE_STEP_SECONDS"),
        (("net.py:nothing", "--sample", "words.npy"), 1, "nothing() returns nothing; it must return the model"),
        (("bomb.pt2",), 1, "that is no model but a zip bomb"),
        (("junk.onnx",), 1, "junk.onnx is no valid ONNX model"),
        (("custom.onnx",), 1, "my.corp"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said_in_one_sentence_and_nothing_changes(folder, store, arguments, status, words):
    before = state(store)
    # Only what never ends must run into the limit, however busy the machine is.
    seconds = "12" if "net.py:hangs" in arguments else "100"
    failed = run(folder, store.root, *arguments, "--name", "good", MODEL_STORE_STEP_SECONDS=seconds)
    assert failed.returncode == status
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("model-store: ")
    assert words in last
    assert "Traceback" not in failed.stderr
    assert state(store) == before


@pytest.mark.parametrize("step", ["source", "onnx-file", "proof-onnxruntime", "tensorflow-from-onnx"])
def test_a_killed_build_leaves_the_old_version_whole(folder, store, step):
    log = store.root / "good" / ".logs" / f"{step}.log"
    log.unlink(missing_ok=True)
    before = store.get("good")
    with subprocess.Popen(
        command(store.root, "good.onnx", "--name", "good", "--force"),
        cwd=folder,
        stderr=subprocess.DEVNULL,
    ) as build:
        while not log.exists():
            assert build.poll() is None
            time.sleep(0.01)
        build.send_signal(signal.SIGKILL)
    after = store.get("good")
    assert after.manifest == before.manifest
    verify_checksums(after.directory, after.manifest)


def test_the_build_after_a_killed_one_clears_up(folder, store):
    assert run(folder, store.root, "good.onnx", "--name", "good", "--only", "onnx", "--force").returncode == 0
    builds = [*(store.root / "good" / ".builds").iterdir()]
    assert len(builds) <= 2  # the one that is served, and the one that was until now


def test_a_full_disk_is_named(folder, tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        failed = run(folder, tmp_path, "good.onnx", "--name", "good", "--only", "onnx")
        assert failed.returncode == 1
        assert "the disk is full" in failed.stderr.splitlines()[-1]
        assert ModelStore(tmp_path).names() == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
