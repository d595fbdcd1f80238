"""ONNX from scikit-learn: the outputs that the estimator has, in its order; ONNX Runtime must agree with it."""

import joblib
import numpy as np
import onnxruntime
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from model_store.errors import BuildFailed
from model_store.exporters import sklearn_onnx
from model_store.exporters.forms import ESTIMATOR
from model_store.sources.sklearn import SklearnSource

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
TEXT = np.array(["setosa", "versicolor", "virginica"])[Y]


def convert(run_step, work, source):
    """The names of the file's outputs, and its answers."""
    source.freeze(work.frozen)
    sides = [
        [(spec.name, spec.datatype, spec.shape) for spec in specs]
        for specs in (source.signature.inputs, source.signature.outputs)
    ]
    run_step(sklearn_onnx, inputs=sides[0], outputs=sides[1])
    session = onnxruntime.InferenceSession(work.onnx, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return names, lambda **tensors: dict(zip(names, session.run(names, tensors), strict=True))


@pytest.mark.parametrize(
    ("estimator", "target", "outputs"),
    [
        (RandomForestClassifier(3), Y, ["label", "probabilities"]),
        (LogisticRegression(max_iter=500), TEXT, ["probabilities"]),
        (make_pipeline(StandardScaler(), LogisticRegression()), Y, ["label", "probabilities"]),
        (LinearSVC(), Y, ["label", "scores"]),
        (SVC(), Y > 0, ["label"]),
        (SVC(), Y, ["label", "scores"]),
        (make_pipeline(StandardScaler(), LinearSVC()), Y, ["label", "scores"]),
        (Perceptron(), Y, ["label", "scores"]),
        (LinearRegression(), X[:, 0], ["prediction"]),
        (PCA(2), None, ["transformed"]),
        (KMeans(2, n_init=1), None, ["label"]),
        (IsolationForest(n_estimators=3), None, ["label"]),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else "",
)
def test_the_file_gives_what_the_estimator_gives(run_step, work, estimator, target, outputs):
    source = SklearnSource(estimator.fit(X, target), [{"": X[:2]}])
    names, run = convert(run_step, work, source)
    assert names == outputs
    expected, found = source.run({"input": X}), run(input=X)
    for name in names:
        assert found[name].shape == expected[name].shape
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4, rtol=1e-4)


def test_whole_numbers_stay_whole(run_step, work):
    rows = (X * 10).astype(np.int64)
    source = SklearnSource(RandomForestClassifier(3).fit(rows, Y), [{"": rows[:1]}])
    _, run = convert(run_step, work, source)
    np.testing.assert_array_equal(run(input=rows)["label"], source.run({"input": rows})["label"])


def test_an_output_that_the_converter_does_not_give_is_named(run_step, work):
    source = SklearnSource(RandomForestClassifier(3).fit(X, Y), [{"": X[:1]}])
    source.freeze(work.frozen)
    joblib.dump((source._estimator, ["label", "transformed"]), work.frozen / ESTIMATOR)
    outputs = [("label", "INT64", (-1,)), ("transformed", "FP32", (-1, 3))]
    with pytest.raises(BuildFailed, match=r"gives the outputs \['label', 'probabilities'\], and none that is trans"):
        run_step(sklearn_onnx, inputs=[("input", "FP32", (-1, 4))], outputs=outputs)
