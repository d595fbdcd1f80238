"""The build with its heavy steps played by hand: what it publishes, what it refuses, what it leaves alone."""

import errno
import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store import build as module
from model_store.build import build
from model_store.build_key import build_key, tool_versions
from model_store.definitions.base import ModelDefinition
from model_store.errors import BuildFailed, ParityFailed
from model_store.exporters.workdir import load_tensors, save_tensors
from model_store.manifest import verify_checksums
from model_store.steps import Progress
from model_store.store import ModelStore

TINY = ModelDefinition(
    name="tiny",
    version="1",
    description="y = 2x",
    license="Apache-2.0",
    signature=Signature((TensorSpec("x", Datatype.FP32, (-1, 3)),), (TensorSpec("y", Datatype.FP32, (-1, 3)),)),
    max_batch_size=8,
    preprocessing=(),
    classification=None,
    tolerance=0.01,
    packages=(),
    labels=None,
    samples=list,
    source=lambda: None,
)


class Steps:
    """Does in a moment what the real steps do in a minute; ``error`` is added to one engine's answers."""

    error: ClassVar = {}
    failure: ClassVar = None
    ran: ClassVar = []

    def __init__(self, model, logs, scratch, progress):
        self.scratch = scratch

    def run(self, title, step, arguments):
        Steps.ran.append(step)
        if Steps.failure is not None:
            raise Steps.failure
        getattr(self, step.rpartition(".")[2])(*arguments)

    def samples(self, name, model, scratch):
        (model / "samples").mkdir()
        for index in range(7):
            np.save(model / "samples" / f"s{index}.npy", np.full((1, 3), index, np.float32))

    def pytorch(self, name, model, scratch):
        (model / "onnx").mkdir()
        (model / "onnx" / "model.onnx").write_bytes(b"graph")
        (scratch / "metrics.json").write_text(json.dumps({"test_accuracy": 0.9}))
        self.parity_run("source", model, scratch / "inputs", scratch / "outputs" / "source")

    def torchserve(self, name, model, scratch):
        (model / "torchserve").mkdir()
        (model / "torchserve" / "tiny.mar").write_bytes(b"archive")

    def tensorflow(self, name, model, scratch):
        (model / "tensorflow" / "1").mkdir(parents=True)
        (model / "tensorflow" / "1" / "saved_model.pb").write_bytes(b"saved")

    def parity_run(self, kind, model, inputs, outputs):
        wrong = Steps.error.get(kind, 0)
        save_tensors(outputs, {key: {"y": t["x"] * 2 + wrong} for key, t in load_tensors(inputs).items()})


@pytest.fixture(autouse=True)
def played(monkeypatch):
    monkeypatch.setattr(module, "get_definition", lambda name: TINY)
    monkeypatch.setattr(module, "build_key", lambda definition, tools: "key")
    monkeypatch.setattr(module, "StepRunner", Steps)
    Steps.error, Steps.failure, Steps.ran = {}, None, []


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "store")


def run(store, **more):
    return build("tiny", store, Progress(Console(quiet=True)), **more)


def test_a_build_publishes_a_whole_model(store):
    result = run(store)
    assert result.built
    model = store.get("tiny")
    verify_checksums(model.directory, model.manifest)
    assert model.manifest.metrics == {"test_accuracy": 0.9}
    assert {target: artifact.path for target, artifact in model.manifest.artifacts.items()} == {
        "torchserve": "torchserve/tiny.mar",
        "tensorflow": "tensorflow",
        "onnx": "onnx/model.onnx",
    }
    assert model.manifest.artifacts["torchserve"].bytes == 7
    assert len(model.samples()) == 7
    assert set(model.manifest.parity) >= {"source-pytorch", "pytorch-tensorflow", "tensorflow-onnxruntime"}
    assert len(json.loads((model.directory / "parity.json").read_text())["differences"]) == 6 * (7 + 3)
    assert not (model.directory / ".scratch").exists()
    assert {path.relative_to(model.directory).as_posix() for path in model.directory.rglob("*") if path.is_file()} == {
        "manifest.json",
        *model.manifest.checksums(),
    }


def test_the_second_build_runs_nothing(store):
    first = run(store).model
    Steps.ran.clear()
    second = run(store)
    assert not second.built
    assert Steps.ran == []
    assert second.model.directory == first.directory


def test_force_builds_again(store):
    first = run(store).model
    again = run(store, force=True)
    assert again.built
    assert again.model.directory != first.directory


def test_other_sources_build_again(store, monkeypatch):
    run(store)
    monkeypatch.setattr(module, "build_key", lambda definition, tools: "another key")
    assert run(store).built


def test_a_changed_file_builds_again(store):
    (run(store).model.directory / "onnx" / "model.onnx").write_bytes(b"other")
    assert run(store).built


@pytest.mark.parametrize("kind", ["pytorch", "tensorflow", "onnxruntime", "source"])
def test_a_wrong_artefact_is_caught_and_the_old_build_stays(store, kind):
    old = run(store).model
    Steps.error = {kind: 0.5}
    with pytest.raises(ParityFailed, match=rf"tiny: .*{kind}.* differ by 0\.5 in 'y' for the inputs '.*'; 0\.01 is"):
        run(store, force=True)
    assert store.get("tiny") == old
    verify_checksums(old.directory, old.manifest)


def test_a_failing_step_leaves_nothing_behind(store):
    Steps.failure = BuildFailed("tiny: step failed")
    with pytest.raises(BuildFailed, match="step failed"):
        run(store)
    assert store.names() == []
    assert [*(store.root / "tiny" / ".builds").iterdir()] == []


def test_a_full_disk_is_one_sentence(store):
    Steps.failure = OSError(errno.ENOSPC, "No space left on device", "/models/x")
    with pytest.raises(BuildFailed, match=r"^tiny: the disk is full \(/models/x\); the store is as it was$"):
        run(store)


def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildFailed, match="tiny: Not a directory"):
        run(ModelStore(tmp_path / "file"))


def test_missing_packages_are_named_with_the_command_that_installs_them():
    with pytest.raises(BuildFailed, match=r"building tiny needs packages .* not installed: no-such; .*pip install"):
        tool_versions(replace(TINY, packages=("no-such",)))


def test_the_key_depends_on_definition_and_tools():
    from model_store.definitions import get_definition

    mlp, net = get_definition("digits-mlp"), get_definition("efficientnet-lite0")
    keys = {build_key(mlp, {"torch": "1"}), build_key(mlp, {"torch": "2"}), build_key(net, {"torch": "1"})}
    assert len(keys) == 3
    assert build_key(mlp, {"torch": "1"}) in keys
