"""What scikit-learn's estimators give."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC, LinearSVC

from gateway.core.datatypes import Datatype
from model_store.errors import BuildFailed
from model_store.sources.sklearn import SklearnSource

X, Y = load_iris(return_X_y=True)
TEXT = np.array(["setosa", "versicolor", "virginica"])[Y]


@pytest.mark.parametrize(
    ("estimator", "target", "outputs", "scores"),
    [
        (RandomForestClassifier(3), Y, {"label": (-1,), "probabilities": (-1, 3)}, "probabilities"),
        (LogisticRegression(), TEXT, {"probabilities": (-1, 3)}, "probabilities"),
        (LinearSVC(), Y, {"label": (-1,), "scores": (-1, 3)}, "scores"),
        (SVC(), Y > 0, {"label": (-1,)}, None),
        (SVC(), np.where(Y > 0, "yes", "no"), {"label": (-1,)}, None),
        (LinearRegression(), X[:, 0], {"prediction": (-1, 1)}, None),
        (PCA(2), None, {"transformed": (-1, 2)}, None),
        (KMeans(2, n_init=1), None, {"label": (-1,)}, None),
    ],
)
def test_outputs_follow_from_what_the_estimator_can_do(estimator, target, outputs, scores):
    source = SklearnSource(estimator.fit(X, target), [{"": X[:1]}])
    assert {spec.name: spec.shape for spec in source.signature.outputs} == outputs
    assert source.scores == scores
    assert source.signature.inputs[0].datatype is Datatype.FP32
    assert source.run(source.samples[0]).keys() == outputs.keys()


def test_an_estimator_that_was_fitted_in_single_precision_is_asked_in_it():
    source = SklearnSource(KMeans(2, n_init=1).fit(X.astype(np.float32)), [{"": X[:1]}])
    assert source.run({"input": X.astype(np.float32)})["label"].shape == (len(X),)


def test_the_classes_are_the_labels():
    source = SklearnSource(LogisticRegression(max_iter=500).fit(X, TEXT), [])
    assert source.labels == ["setosa", "versicolor", "virginica"]
    assert source.samples[0]["input"].shape == (1, 4)


@pytest.mark.parametrize(
    ("estimator", "sample", "message"),
    [
        (RandomForestClassifier(), X[:1], "not fitted"),
        (LogisticRegression(max_iter=500).fit(X, Y), X[:1, :2], r"does not take the sample \[1, 2\]: X has 2 features"),
        (LogisticRegression(max_iter=500).fit(X, Y), X[0], r"shape \[4\]; scikit-learn takes n × features"),
        (LinearSVC().fit(X, TEXT), np.array([["a"]]), "numbers are needed"),
    ],
)
def test_what_cannot_be_served_says_why(estimator, sample, message):
    with pytest.raises(BuildFailed, match=message):
        SklearnSource(estimator, [{"": sample}])
