from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from model_store.exporters.forms import ESTIMATOR
from model_store.originals import Original
from model_store.originals.remake import _label_is_best
from model_store.originals.sklearn import SklearnOriginal
from model_store.sources.sklearn import SklearnSource

FLOWERS, CLASSES = load_iris(return_X_y=True)
FLOWERS = FLOWERS.astype(np.float32)


def opened(folder: Path, estimator: Any, *, derived: bool = False, threads: int = 1) -> tuple[Any, SklearnSource]:
    """The original, and the source that the build would make of the same estimator."""
    source = SklearnSource(estimator, [{"input": FLOWERS[:1]}])
    joblib.dump((estimator, source.outputs), folder / ESTIMATOR)
    original = Original("scikit-learn", "", derived)
    return SklearnOriginal(folder, original, source.signature, threads), source


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(5, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
        LinearSVC(),
        KMeans(3, random_state=0),
        LinearRegression(),
        StandardScaler(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_every_kind_of_estimator_answers_as_in_the_build(tmp_path: Path, estimator: Any) -> None:
    engine, source = opened(tmp_path, estimator.fit(FLOWERS, CLASSES))
    answers, expected = engine.run({"input": FLOWERS}), source.run({"input": FLOWERS})
    assert answers.keys() == expected.keys()
    for name, array in expected.items():
        assert (answers[name].dtype, answers[name].shape) == (array.dtype, array.shape)
        np.testing.assert_allclose(answers[name], array, rtol=1e-4, atol=1e-5)


def test_text_classes_become_their_places(tmp_path: Path) -> None:
    names = np.array(["iris", "lily", "rose"])[CLASSES]
    engine, source = opened(tmp_path, LinearSVC().fit(FLOWERS[:100], names[:100]))
    np.testing.assert_array_equal(engine.run({"input": FLOWERS})["label"], source.run({"input": FLOWERS})["label"])


def test_one_call_gives_label_and_probabilities(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(FLOWERS, CLASSES * 10)
    assert _label_is_best(forest, FLOWERS)
    engine, _ = opened(tmp_path, forest, derived=True)
    engine._estimator.predict = None  # must not be needed
    np.testing.assert_array_equal(engine.run({"input": FLOWERS})["label"], forest.predict(FLOWERS))


def test_a_label_that_is_not_the_best_class_is_noticed() -> None:
    class Contrary(RandomForestClassifier):  # type: ignore[misc]
        def predict(self, features: Any) -> Any:
            return np.zeros(len(features), np.int64)

    assert not _label_is_best(Contrary(5, random_state=0).fit(FLOWERS, CLASSES), FLOWERS)


def test_threads_reach_every_part_that_has_jobs(tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(FLOWERS, CLASSES)
    engine, _ = opened(tmp_path, pipeline, threads=2)
    assert engine._estimator.steps[-1][1].n_jobs == 2
