import hashlib
import json

import pytest

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import CorruptArtifact, CorruptManifest
from model_store.manifest import (
    Artifact,
    Manifest,
    PairParity,
    checksums,
    load_manifest,
    save_manifest,
    signature_entry,
    verify_checksums,
)
from model_store.preprocess import Decode, Layout, Normalize, Resize

SIGNATURE = Signature((TensorSpec("x", Datatype.FP32, (-1, 3)),), (TensorSpec("y", Datatype.INT64, (-1,)),))

DECODE = {"step": "decode", "mode": "L"}
RESIZE = {"step": "resize", "width": 1, "height": 1}


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"graph")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    made = Manifest(
        format=1,
        name="tiny",
        version="1",
        description="d",
        license="l",
        signature=signature_entry(SIGNATURE),
        max_batch_size=4,
        preprocessing=(Decode("RGB"), Resize(2, 3), Normalize(1.0, (0.0,), (1.0,)), Layout("CHW")),
        labels="labels.txt",
        classification=None,
        artifacts={"onnx": Artifact("onnx/model.onnx", 5, checksums(tmp_path, tmp_path / "onnx"))},
        parity={"a-b": PairParity(1e-6, 1e-7, 1.0, 1e-4)},
        metrics={"test_accuracy": 0.5},
        samples=(),
        files=checksums(tmp_path, tmp_path / "labels.txt"),
        tools={"python": "3.11"},
        created="2026-01-01T00:00:00+00:00",
        build_key="k",
    )
    save_manifest(tmp_path, made)
    return made


def edit(directory, **changes):
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_saved_is_loaded(tmp_path, manifest):
    assert load_manifest(tmp_path) == manifest
    assert load_manifest(tmp_path).model_signature() == SIGNATURE


def test_checksums_are_sha256_by_relative_path(manifest):
    assert manifest.checksums()["onnx/model.onnx"] == hashlib.sha256(b"graph").hexdigest()
    assert set(manifest.checksums()) == {"onnx/model.onnx", "labels.txt"}


def test_a_missing_manifest_names_the_file(tmp_path):
    with pytest.raises(CorruptManifest, match=r"manifest\.json: No such file"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "nonsense", "\xff\xfe"])
def test_no_json_object(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptManifest, match=r"manifest\.json"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2 is not 1"),
        ({"max_batch_size": "many"}, r"max_batch_size"),
        ({"colour": "red"}, "colour"),
        ({"signature": {"inputs": [{"name": "x", "datatype": "FP33", "shape": []}], "outputs": []}}, "datatype"),
        ({"preprocessing": [{"step": "run", "code": "rm"}]}, r"preprocessing\[0\]"),
        ({"preprocessing": [RESIZE]}, "decode step"),
        ({"preprocessing": [DECODE, DECODE]}, "decode step"),
        ({"preprocessing": [DECODE, {"step": "layout", "order": "CHW"}, RESIZE]}, "resize and crop before"),
        ({"labels": "../labels.txt"}, "labels: '../labels.txt' leaves"),
        ({"samples": ["/etc/passwd"]}, "samples: '/etc/passwd' leaves"),
        ({"artifacts": {"onnx": {"path": "..", "bytes": 0, "files": {}}}}, "artifacts: '..' leaves"),
        ({"files": {"a/../../b": "0"}}, "files: .* leaves"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(tmp_path, manifest, changes, message):
    edit(tmp_path, **changes)
    with pytest.raises(CorruptManifest, match=message) as caught:
        load_manifest(tmp_path)
    assert "manifest.json" in str(caught.value)


def test_a_missing_field_is_named(tmp_path, manifest):
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    del content["license"]
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptManifest, match="license"):
        load_manifest(tmp_path)


def test_whole_files_pass(tmp_path, manifest):
    verify_checksums(tmp_path, manifest)


def test_a_changed_file_is_named(tmp_path, manifest):
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"grapf")
    with pytest.raises(CorruptArtifact, match=r"tiny: .*onnx/model\.onnx is corrupt"):
        verify_checksums(tmp_path, manifest)


def test_a_missing_file_is_named(tmp_path, manifest):
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(CorruptArtifact, match=r"labels\.txt: No such file"):
        verify_checksums(tmp_path, manifest)
