"""Manifests as tables of 80 columns and as documents."""

import io

import msgspec
import pytest
from rich.console import Console
from support.manifests import make_manifest

from gateway.core.datatypes import Datatype
from model_store.build import BuildResult
from model_store.manifest import Artifact, Attempt, Origin
from model_store.parity.difference import Difference
from model_store.parity.verdict import PairParity
from model_store.show import build_summary, inspection, models_table, parity_table, verified_table
from model_store.store import StoredModel
from model_store.verify import Verified

PAIR = PairParity(3e-6, 2e-6, 12.0, 1e-4, 0.995, 1.0, True)


@pytest.fixture
def manifest():
    """Built for two servers of three."""
    return make_manifest(
        "tiny",
        [("x", "FP32", (-1, 3))],
        [("y", "FP32", (-1, 2))],
        origin=Origin("pytorch", "PyTorch Net[0]"),
        artifacts={
            "onnx": Artifact(
                "onnx/model.onnx", 1_500_000, {"a": "0"}, "torch.onnx", {"fast": True}, {"1": 0.1234}, 0.5
            ),
            "torchserve": Artifact("torchserve/tiny.mar", 2_000, {"b": "0"}, "TorchScript"),
        },
        failed={"tensorflow": (Attempt("ONNX → TensorFlow", "no operator [Loop]"),)},
        parity={"source-onnxruntime": PAIR, "source-pytorch": PAIR, "onnxruntime-pytorch": PAIR},
        metrics={"accuracy": 0.987},
        tools={"torch": "2.13.0"},
    )


def shown(renderable, width=80):
    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


def row(text, first):
    (found,) = [line.split() for line in text.splitlines() if line.strip().startswith(first)]
    return found


def difference(pair, max_abs):
    return Difference(
        pair, "s", "y", Datatype.FP32, 1, 1.0, max_abs, max_abs, 1.0, 1e-4, 1.0, 0.0, 1.0, 0, True
    )  # fmt: skip


def test_a_line_a_model(manifest):
    small = msgspec.structs.replace(manifest, name="small", origin=Origin("onnx", "int8 of tiny", "tiny"))
    bare = msgspec.structs.replace(manifest, name="bare", artifacts={}, parity={})
    text = shown(models_table([manifest, small, bare]))
    assert row(text, "tiny/1") == ["tiny/1", "pytorch", "1.5", "MB", "3.0e-06", "2026-01-01"]
    assert row(text, "small/1")[1] == "variant"
    assert row(text, "bare/1")[-4:] == ["0", "kB", "0.0e+00", "2026-01-01"]


def test_the_largest_difference_is_that_from_the_source(manifest):
    wide = msgspec.structs.replace(PAIR, max_abs=1.0)
    other = msgspec.structs.replace(manifest, parity=manifest.parity | {"onnxruntime-pytorch": wide})
    assert "3.0e-06" in shown(models_table([other]))


def test_a_line_an_artefact_and_one_for_what_is_missing(manifest):
    text = shown(parity_table(manifest))
    assert "PyTorch Net[0], proven" in text
    assert row(text, "ONNX") == ["ONNX", "torch.onnx", "3.0e-06", "12", "99.5%", "0.123", "50.00%"]
    assert row(text, "TorchServe")[-2:] == ["-", "-"]
    assert "not built" in text


def test_no_accuracy_no_column(manifest):
    bare = msgspec.structs.replace(manifest.artifacts["onnx"], accuracy=None)
    assert "Accuracy" in shown(parity_table(manifest))
    assert "Accuracy" not in shown(parity_table(msgspec.structs.replace(manifest, artifacts={"onnx": bare})))


def test_verified_models_show_what_was_measured_now(manifest, tmp_path):
    found = [difference(("source", "onnxruntime"), value) for value in (1e-7, 2e-7, 0.0)]
    found += [difference(("source", "pytorch"), 5e-7), difference(("onnxruntime", "pytorch"), 1.0)]
    text = shown(verified_table([Verified(StoredModel(tmp_path, manifest), found)]))
    assert "tiny/1" in text
    assert "PyTorch Net[0]" in text
    assert row(text, "tiny/1")[-3:] == ["2.0e-07", "failed", "5.0e-07"]


def test_a_server_that_nobody_asked_for_has_not_failed(manifest, tmp_path):
    artifacts = {"onnx": manifest.artifacts["onnx"]}
    small = msgspec.structs.replace(manifest, artifacts=artifacts, failed={})
    found = [difference(("source", "onnxruntime"), 0.0)]
    text = shown(verified_table([Verified(StoredModel(tmp_path, small), found)]))
    assert row(text, "tiny/1")[-3:] == ["0.0e+00", "-", "-"]


def test_inspection_tells_everything(manifest, tmp_path):
    text = shown(inspection(StoredModel(tmp_path, manifest)))
    for part in (
        "tiny, version 1", "PyTorch Net[0]", "Accuracy", "0.987", "n × 3", "torchserve/tiny.mar", "1.5 MB", "2 kB",
        "fast=True", "default", "no operator [Loop]", "2.13.0", "Apache-2.0",
    ):  # fmt: skip
        assert part in text


def test_a_summary_for_programs(manifest, tmp_path):
    summary = build_summary(BuildResult(StoredModel(tmp_path, manifest), True, 1.2345), tmp_path / "store")
    assert (summary["status"], summary["seconds"]) == ("built", 1.23)
    assert summary["directory"] == str(tmp_path / "store" / "tiny" / "1")
    assert summary["failed"] == manifest.failed
    assert build_summary(BuildResult(StoredModel(tmp_path, manifest), False, 0.0), tmp_path)["status"] == "up to date"
