import hashlib
import json

import msgspec
import pytest
from support.manifests import make_manifest, make_signature

from gateway.core.datatypes import Datatype
from model_store.errors import CorruptArtifact, CorruptManifest
from model_store.manifest import (
    Artifact,
    Attempt,
    Origin,
    checksums,
    load_manifest,
    save_manifest,
    verify_checksums,
)
from model_store.parity.tolerance import Tolerance
from model_store.processing.steps import Decode, Layout, Normalize, Resize, Softmax, Tokenize, TopK

INPUTS, OUTPUTS = [("x", "FP32", (-1, 3))], [("y", "FP32", (-1, 2))]

DECODE = {"step": "decode", "mode": "L"}
RESIZE = {"step": "resize", "width": 1, "height": 1}
TOKENIZE = {"step": "tokenize", "tokenizer": "tokenizer.json", "max_length": 8, "ids": "ids"}


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"graph")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    made = make_manifest(
        "tiny",
        INPUTS,
        OUTPUTS,
        preprocessing=(Decode("L"), Resize(3, 1), Normalize(1.0, (0.0,), (1.0,)), Layout("FLAT")),
        postprocessing=(Softmax("y"), TopK("y", 2)),
        labels="labels.txt",
        artifacts={"onnx": Artifact("onnx/model.onnx", 5, checksums(tmp_path, tmp_path / "onnx"))},
        files=checksums(tmp_path, tmp_path / "labels.txt"),
    )
    save_manifest(tmp_path, made)
    return made


def edit(directory, **changes):
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_saved_is_loaded(tmp_path, manifest):
    assert load_manifest(tmp_path) == manifest
    assert load_manifest(tmp_path).model_signature() == make_signature(INPUTS, OUTPUTS)


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
        ({"format": 1}, "format 1 is not 2"),
        ({"max_batch_size": "many"}, r"max_batch_size"),
        ({"colour": "red"}, "colour"),
        ({"signature": {"inputs": [{"name": "x", "datatype": "FP33", "shape": []}], "outputs": []}}, "datatype"),
        ({"preprocessing": [{"step": "run", "code": "rm"}]}, r"preprocessing\[0\]"),
        ({"preprocessing": [RESIZE]}, "decode step"),
        ({"preprocessing": [DECODE, RESIZE | {"width": 0}]}, r"preprocessing\[1\]\.width"),
        ({"preprocessing": [DECODE, RESIZE]}, "gives 1 × 1 × 1, and the input 'x' takes 3"),
        ({"preprocessing": [TOKENIZE]}, r"tokenize fills the inputs \['ids'\], and the model takes \['x'\]"),
        ({"postprocessing": [{"step": "softmax", "output": "z"}]}, "unknown output 'z'"),
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


def test_a_tokenizer_outside_of_the_model_is_refused(tmp_path):
    step = Tokenize("../tokenizer.json", max_length=8, ids="ids")
    save_manifest(tmp_path, make_manifest("tiny", [("ids", "INT64", (-1, -1))], OUTPUTS, preprocessing=(step,)))
    with pytest.raises(CorruptManifest, match=r"preprocessing: '\.\./tokenizer\.json' leaves"):
        load_manifest(tmp_path)


def test_the_output_with_the_scores(manifest):
    assert manifest.scores_output == "y"
    assert make_manifest("tiny", INPUTS, OUTPUTS).scores_output is None


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


def test_what_was_measured_and_what_failed_is_loaded_again(tmp_path, manifest):
    artifact = Artifact("onnx/model.onnx", 5, {}, "torch.onnx", {"fast": True, "threads": 2}, {"1": 0.5}, 0.75)
    whole = msgspec.structs.replace(
        manifest,
        artifacts={"onnx": artifact},
        failed={"tensorflow": (Attempt("ONNX → TensorFlow", "no operator"),)},
        origin=Origin("onnx", "int8 of tiny", "tiny", {"/home/me/net.py": "0" * 64}),
        tolerance=Tolerance(ulps=13, top1=0.95, compute=Datatype.INT8),
        metrics={"accuracy": 0.5},
    )
    save_manifest(tmp_path, whole)
    assert load_manifest(tmp_path) == whole


def test_the_files_of_an_artefact_stay_in_the_model(tmp_path, manifest):
    edit(tmp_path, artifacts={"onnx": {"path": "onnx", "bytes": 0, "files": {"../x": "0"}}})
    with pytest.raises(CorruptManifest, match=r"files: '\.\./x' leaves"):
        load_manifest(tmp_path)


def test_the_origins_files_may_lie_anywhere_for_they_are_never_loaded(tmp_path, manifest):
    save_manifest(tmp_path, msgspec.structs.replace(manifest, origin=Origin("onnx", "x", files={"/etc/passwd": "0"})))
    verify_checksums(tmp_path, load_manifest(tmp_path))
