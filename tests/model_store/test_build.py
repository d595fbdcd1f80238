"""The build with its heavy steps played by hand: what it publishes, what it refuses, what it leaves alone."""

import errno
import json

import numpy as np
import pytest
from support.played_build import MAX_BATCH, files_of

from model_store.definitions.base import Evaluation
from model_store.errors import BuildFailed, DiskFull
from model_store.manifest import verify_checksums
from model_store.parity.tolerance import Tolerance
from model_store.store import ModelStore

STEPS_OF_A_WHOLE_BUILD = [
    "Source",
    "ONNX from PyTorch",
    "Proof onnxruntime",
    "TensorFlow from ONNX",
    "Proof tensorflow",
    "Ahead-of-time compilation",
    "TorchServe archive",
    "Proof pytorch",
]


def test_a_build_publishes_a_whole_model(workshop, play):
    result = workshop.build()
    assert result.built
    assert play.ran == STEPS_OF_A_WHOLE_BUILD
    model = workshop.store.get("tiny")
    manifest = model.manifest
    assert model == result.model
    verify_checksums(model.directory, manifest)
    assert {target: (artifact.path, artifact.route) for target, artifact in manifest.artifacts.items()} == {
        "onnx": ("onnx/model.onnx", "torch.onnx"),
        "tensorflow": ("tensorflow", "ONNX → TensorFlow"),
        "torchserve": ("torchserve/tiny.mar", "torch.export"),
    }
    assert manifest.artifacts["onnx"].bytes == len(b"graph")
    assert manifest.failed == {}
    assert (manifest.description, manifest.origin.framework, manifest.max_batch_size) == (
        "y = 2x",
        "pytorch",
        MAX_BATCH,
    )
    assert manifest.tolerance == Tolerance(absolute=0.01)
    assert sorted(model.samples()) == ["s0", "s1", "s2"]
    assert set(manifest.parity) == {
        "source-onnxruntime", "source-tensorflow", "source-pytorch",
        "onnxruntime-tensorflow", "onnxruntime-pytorch", "tensorflow-pytorch",
    }  # fmt: skip
    assert all(pair.passed for pair in manifest.parity.values())
    assert manifest.tools["numpy"] == np.__version__


def test_what_is_published_is_what_the_manifest_lists(workshop):
    model = workshop.build().model
    assert files_of(model.directory) == {"manifest.json", *model.manifest.checksums()}
    assert {"parity.json", "parity.html", "reference/sample-s0.npz"} <= files_of(model.directory)


def test_the_report_tells_the_routes_and_every_difference(workshop):
    report = json.loads((workshop.build().model.directory / "parity.json").read_text())
    assert report["passed"]
    assert report["participants"] == {
        "source": "PyTorch Tiny", "onnxruntime": "1.0", "tensorflow": "1.0", "pytorch": "1.0",
    }  # fmt: skip
    assert report["routes"]["torchserve"] == "torch.export"
    sets = {difference["inputs"] for difference in report["differences"]}
    assert {"sample-s0", f"samples-batch-{MAX_BATCH}", "random-batch-1"} <= sets
    assert len(report["differences"]) == 6 * len(sets)


def test_accuracy_and_latency_stand_with_each_artefact(workshop, play):
    play.evaluation = Evaluation({"x": np.eye(3, dtype=np.float32)}, np.arange(3))
    play.labels = ("a", "b", "c")
    model = workshop.build().model
    assert model.manifest.metrics == {"accuracy": 1.0}
    assert {artifact.accuracy for artifact in model.manifest.artifacts.values()} == {0.75}
    assert model.labels() == ["a", "b", "c"]
    report = json.loads((model.directory / "parity.json").read_text())
    assert report["accuracy"] == {"source": {"accuracy": 1.0}} | {
        kind: {"accuracy": 0.75} for kind in ("onnxruntime", "tensorflow", "pytorch")
    }


def test_the_second_build_runs_nothing(workshop, play):
    first = workshop.build().model
    play.ran.clear()
    second = workshop.build()
    assert (second.built, play.ran, second.model) == (False, [], first)


def test_force_builds_again(workshop):
    first = workshop.build().model
    again = workshop.build(force=True)
    assert again.built
    assert again.model.directory != first.directory


def test_another_source_builds_again(workshop):
    workshop.build()
    workshop.file.write_bytes(b"other weights")
    assert workshop.build().built


def test_other_targets_build_again(workshop):
    workshop.build()
    assert workshop.build(only=("onnx",)).built
    assert not workshop.build(only=("onnx",)).built


@pytest.mark.parametrize("path", ["onnx/model.onnx", "samples/s0.npy", "parity.json"])
def test_a_damaged_file_builds_again(workshop, path):
    (workshop.build().model.directory / path).write_bytes(b"other")
    assert workshop.build().built


def test_a_damaged_manifest_builds_again(workshop):
    (workshop.build().model.directory / "manifest.json").write_bytes(b"{")
    assert workshop.build().built


def test_a_file_that_the_source_imported_is_watched(workshop, play, tmp_path):
    layers = tmp_path / "layers.py"
    layers.write_text("WIDTH = 3")
    play.origin = (layers,)
    assert list(workshop.build().model.manifest.origin.files) == [str(layers)]
    assert not workshop.build().built
    layers.write_text("WIDTH = 4")
    assert workshop.build().built
    layers.unlink()
    play.origin = ()
    assert workshop.build().built


def test_a_file_of_the_recipe_that_is_gone_is_named(workshop):
    old = workshop.build().model
    workshop.file.unlink()
    with pytest.raises(BuildFailed, match=r"tiny\.pt2: no such file$"):
        workshop.build()
    assert workshop.store.get("tiny") == old


@pytest.mark.parametrize("way", ["by the source", "by every step", "by every answer"])
def test_when_all_fails_the_store_is_as_it_was(workshop, play, way):
    old = workshop.build().model
    match way:
        case "by the source":
            play.broken["Source"] = BuildFailed("tiny: Source failed: no weights")
        case "by every step":
            play.broken |= {"ONNX from PyTorch": BuildFailed("tiny: a"), "TorchServe archive": BuildFailed("tiny: b")}
        case "by every answer":
            play.wrong = {"onnxruntime": 0.5, "tensorflow": 0.5, "pytorch": 0.5}
    with pytest.raises(BuildFailed) as caught:
        workshop.build(force=True)
    assert str(caught.value).count("tiny") == 1
    assert workshop.store.get("tiny") == old
    verify_checksums(old.directory, old.manifest)
    assert [path.name for path in (workshop.store.root / "tiny" / ".builds").iterdir()] == [old.directory.name]


def test_a_first_build_that_fails_names_every_route_and_leaves_no_model(workshop, play):
    play.broken |= {"ONNX from PyTorch": BuildFailed("tiny: a"), "TorchServe archive": BuildFailed("tiny: b")}
    with pytest.raises(
        BuildFailed, match=r"tiny: no artefact could be made: onnx by torch\.onnx: a; .*torch\.export: b"
    ):
        workshop.build()
    assert workshop.store.names() == []
    assert [*(workshop.store.root / "tiny" / ".builds").iterdir()] == []


@pytest.mark.parametrize("step", ["Source", "ONNX from PyTorch", "Proof tensorflow"])
def test_a_full_disk_ends_the_build_at_once(workshop, play, step):
    play.broken[step] = DiskFull(f"tiny: {step} failed: the disk is full; its log is x")
    with pytest.raises(DiskFull, match="the disk is full"):
        workshop.build()
    assert play.ran[-1] == step
    assert workshop.store.names() == []


def test_a_disk_that_is_full_between_the_steps_is_one_sentence(workshop, play):
    play.broken["Proof tensorflow"] = OSError(errno.ENOSPC, "No space left on device", "/models/x")
    with pytest.raises(BuildFailed, match=r"^tiny: the disk is full \(/models/x\); the store is as it was$"):
        workshop.build()
    assert workshop.store.names() == []


def test_a_store_that_cannot_be_written_is_one_sentence(workshop, tmp_path):
    (tmp_path / "file").write_text("")
    workshop.store = ModelStore(tmp_path / "file")
    with pytest.raises(BuildFailed, match=r"^tiny: Not a directory .*; the store is as it was$"):
        workshop.build()
