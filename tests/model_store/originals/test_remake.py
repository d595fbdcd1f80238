"""The forest that ships, trained again in a process of its own; it takes a few seconds."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from support.manifests import make_manifest

from model_store.definitions import digits_forest
from model_store.errors import BuildFailed
from model_store.manifest import Origin, save_manifest
from model_store.originals import Given, Original, not_kept, open_original, remake
from model_store.store import StoredModel


def stored(folder: Path, name: str = "digits-forest", version: str = "1", variant_of: str = "") -> StoredModel:
    """A built model as far as an original needs it: its manifest and one sample."""
    (sample, *_) = digits_forest.MODEL.samples()
    np.save(folder / "sample.npy", sample.inputs["input"])
    manifest = make_manifest(
        name,
        [("input", "FP32", (-1, 64))],
        [("label", "INT64", (-1,)), ("probabilities", "FP32", (-1, 10))],
        version=version,
        samples=("sample.npy",),
        origin=Origin("scikit-learn", "RandomForestClassifier", variant_of),
    )
    save_manifest(folder, manifest)
    return StoredModel(folder, manifest)


def test_the_original_answers_as_the_trained_estimator_does(tmp_path: Path) -> None:
    model = stored(tmp_path)
    folder = tmp_path / "original"
    folder.mkdir()
    assert remake(model, folder) == Original("scikit-learn", "predict_proba of RandomForestClassifier", True)
    engine = open_original(folder, model.manifest.model_signature(), threads=1)
    pictures = digits_forest.MODEL.evaluation().inputs["input"][:50]  # type: ignore[misc]
    answers = engine.run({"input": pictures})
    forest = digits_forest.source()
    np.testing.assert_array_equal(answers["label"], forest.predict(pictures))
    np.testing.assert_allclose(answers["probabilities"], forest.predict_proba(pictures), atol=1e-7)


def test_a_name_without_a_definition_is_a_failed_build(tmp_path: Path) -> None:
    folder = tmp_path / "original"
    folder.mkdir()
    with pytest.raises(BuildFailed, match="no model definition 'mine'"):
        remake(stored(tmp_path, "mine"), folder)


def test_an_original_that_is_given(tmp_path: Path) -> None:
    rows = np.eye(64, dtype=np.float32)
    joblib.dump(LogisticRegression().fit(rows, np.arange(64) % 10), tmp_path / "mine.joblib")
    folder = tmp_path / "original"
    folder.mkdir()
    model = stored(tmp_path, "mine")
    with pytest.raises(BuildFailed, match="give --trust if you trust its origin"):
        remake(model, folder, Given(tmp_path / "mine.joblib"))
    remade = remake(model, folder, Given(tmp_path / "mine.joblib", trust=True))
    assert remade == Original("scikit-learn", "predict_proba of LogisticRegression", True)
    answers = open_original(folder, model.manifest.model_signature(), threads=1).run({"input": rows[:3]})
    np.testing.assert_array_equal(answers["label"], [0, 1, 2])


def test_why_an_original_cannot_be_had(tmp_path: Path) -> None:
    assert not_kept(stored(tmp_path).manifest) == ""
    assert "give it with --original" in not_kept(stored(tmp_path, "mine").manifest)
    assert not_kept(stored(tmp_path, version="2").manifest) == "the one that ships is version 1, not 2"
    assert "'digits-forest', in full precision" in not_kept(stored(tmp_path, variant_of="digits-forest").manifest)
