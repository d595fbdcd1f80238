from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.manifests import make_manifest

from loadtest.frameworks import contestants
from loadtest.frameworks.contestants import Absent, Broken, Contestant, line_up, measures_original
from model_store.errors import BuildFailed
from model_store.manifest import Artifact, Attempt, Origin
from model_store.originals import Given, Original
from model_store.store import StoredModel


def stored(folder: Path, **changes: Any) -> StoredModel:
    manifest = make_manifest("any", [("x", "FP32", (-1, 2))], [("y", "FP32", (-1, 2))], **changes)
    return StoredModel(folder, manifest)


def archive(folder: Path, member: str) -> Artifact:
    with zipfile.ZipFile(folder / "any.mar", "w") as target:
        target.writestr(member, b"")
    return Artifact("any.mar", 0, {}, "some route", {"mode": "aot"})


def found(model: StoredModel, folder: Path) -> dict[str, Contestant | Absent | Broken]:
    return {one.framework: one for one in line_up(model, folder)}


def test_every_framework_is_named_with_what_it_runs_or_why_it_does_not(tmp_path: Path) -> None:
    tensorflow = Artifact("tensorflow", 0, {}, "ONNX → TensorFlow", {"executor": "single-threaded"})
    model = stored(
        tmp_path,
        origin=Origin("pytorch", "PyTorch Sequential"),
        artifacts={"torchserve": archive(tmp_path, "program.pt2"), "tensorflow": tensorflow},
        failed={"onnx": (Attempt("torch.onnx", "no such operator"),)},
    )
    lined_up = found(model, tmp_path)
    assert [*lined_up] == ["PyTorch", "TensorFlow", "Keras", "scikit-learn", "ONNX Runtime"]
    pytorch, translated = lined_up["PyTorch"], lined_up["TensorFlow"]
    assert isinstance(pytorch, Contestant)
    assert isinstance(translated, Contestant)
    assert (pytorch.runs, translated.runs) == ("some route, aot", "ONNX → TensorFlow, executor single-threaded")
    assert pickle.loads(pickle.dumps(pytorch.open)).args == ("pytorch", tmp_path)  # goes to another process
    assert lined_up["Keras"] == Absent("Keras", "the original is of pytorch: PyTorch Sequential")
    assert lined_up["ONNX Runtime"] == Absent("ONNX Runtime", "no such operator")
    assert not measures_original(model)


def test_an_archive_with_an_onnx_graph_is_not_pytorch(tmp_path: Path) -> None:
    model = stored(tmp_path, artifacts={"torchserve": archive(tmp_path, "model.onnx")})
    reason = "its TorchServe archive holds the ONNX graph, which ONNX Runtime runs"
    assert found(model, tmp_path)["PyTorch"] == Absent("PyTorch", reason)


def test_an_archive_that_is_broken_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "any.mar").write_bytes(b"no zip file")
    model = stored(tmp_path, artifacts={"torchserve": Artifact("any.mar", 0, {})})
    broken = found(model, tmp_path)["PyTorch"]
    assert isinstance(broken, Broken)
    assert "any.mar" in broken.problem


def test_an_original_is_made_again_where_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "not_kept", lambda manifest: "")
    monkeypatch.setattr(
        contestants, "remake", lambda model, folder, given: Original("scikit-learn", "predict of Forest")
    )
    model = stored(tmp_path, origin=Origin("scikit-learn", "Forest"))
    assert measures_original(model)
    original = found(model, tmp_path / "original")["scikit-learn"]
    assert isinstance(original, Contestant)
    assert original.runs == "original, predict of Forest"
    assert original.open.args == (tmp_path / "original", tmp_path)  # type: ignore[attr-defined]


def test_an_original_that_cannot_be_made_again_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(model: StoredModel, folder: Path, given: Given | None) -> Original:
        raise BuildFailed("no memory")

    monkeypatch.setattr(contestants, "not_kept", lambda manifest: "")
    monkeypatch.setattr(contestants, "remake", fails)
    model = stored(tmp_path, origin=Origin("keras", "Keras Sequential"))
    assert found(model, tmp_path)["Keras"] == Broken("Keras", "no memory")


def test_an_imported_original_is_not_kept(tmp_path: Path) -> None:
    model = stored(tmp_path, origin=Origin("scikit-learn", "Pipeline"))
    reason = "the store keeps no originals; give it with --original"
    assert found(model, tmp_path)["scikit-learn"] == Absent("scikit-learn", reason)


def test_an_imported_original_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Given(tmp_path / "pipeline.joblib", trust=True)
    asked = []

    def remake(model: StoredModel, folder: Path, original: Given | None) -> Original:
        asked.append(original)
        return Original("scikit-learn", "predict of Pipeline")

    monkeypatch.setattr(contestants, "remake", remake)
    lined_up = line_up(stored(tmp_path, origin=Origin("scikit-learn", "Pipeline")), tmp_path, given)
    assert [one.framework for one in lined_up if isinstance(one, Contestant)] == ["scikit-learn"]
    assert asked == [given]
