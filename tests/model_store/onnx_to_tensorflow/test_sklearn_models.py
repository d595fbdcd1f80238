"""scikit-learn's models, exported by skl2onnx, against ONNX Runtime."""

import numpy as np
import onnxruntime as ort
import pytest
import tensorflow as tf
from skl2onnx import to_onnx
from sklearn import (
    calibration,
    cluster,
    decomposition,
    ensemble,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from model_store.onnx_to_tensorflow import UnsupportedOperators, translate

FEATURES = 6
_random = np.random.default_rng(0)
_rows = _random.standard_normal((160, FEATURES)).astype(np.float32)
_sums = _rows[:, 0] * 1.5 + _rows[:, 1] * _rows[:, 2] + 0.3 * _random.standard_normal(160)
NUMBERS = _sums.astype(np.float32)
TWO = (_sums > 0).astype(np.int64)
FOUR = np.digitize(_sums, [-1, 0, 1]).astype(np.int64)
WORDS = np.array(["ant", "bee", "cat", "dog"])[FOUR]

CLASSIFIERS = {
    "tree": lambda: tree.DecisionTreeClassifier(max_depth=5),
    "forest": lambda: ensemble.RandomForestClassifier(12, random_state=0),
    "extra trees": lambda: ensemble.ExtraTreesClassifier(9, random_state=0),
    "gradient boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
    "hist gradient boosting": lambda: ensemble.HistGradientBoostingClassifier(max_iter=8),
    "AdaBoost": lambda: ensemble.AdaBoostClassifier(n_estimators=6),
    "SVC": svm.SVC,
    "SVC with probabilities": lambda: svm.SVC(probability=True, random_state=0),
    "polynomial SVC": lambda: svm.SVC(kernel="poly", degree=3, coef0=0.5),
    "sigmoid SVC": lambda: svm.SVC(kernel="sigmoid", probability=True, random_state=0),
    "linear-kernel SVC": lambda: svm.SVC(kernel="linear"),
    "linear SVC": svm.LinearSVC,
    "calibrated SVC": lambda: calibration.CalibratedClassifierCV(svm.SVC(), cv=2),
    "logistic regression": linear_model.LogisticRegression,
    "SGD": lambda: linear_model.SGDClassifier(loss="log_loss", random_state=0),
    "neighbours": lambda: neighbors.KNeighborsClassifier(5),
    "perceptron": lambda: neural_network.MLPClassifier((16, 8), max_iter=80, random_state=0),
    "naive Bayes": naive_bayes.GaussianNB,
    "Bernoulli naive Bayes": naive_bayes.BernoulliNB,
    "bagging": lambda: ensemble.BaggingClassifier(n_estimators=4, random_state=0),
    "voting": lambda: ensemble.VotingClassifier(
        [("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3))],
        voting="soft",
        flatten_transform=False,
    ),
    "polynomial features": lambda: pipeline.make_pipeline(
        preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(2), linear_model.LogisticRegression()
    ),
}
REGRESSORS = {
    "tree": lambda: tree.DecisionTreeRegressor(max_depth=5),
    "forest": lambda: ensemble.RandomForestRegressor(12, random_state=0),
    "extra trees": lambda: ensemble.ExtraTreesRegressor(9, random_state=0),
    "gradient boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0),
    "hist gradient boosting": lambda: ensemble.HistGradientBoostingRegressor(max_iter=8),
    "AdaBoost": lambda: ensemble.AdaBoostRegressor(n_estimators=5, random_state=0),
    "SVR": svm.SVR,
    "linear SVR": svm.LinearSVR,
    "linear": linear_model.LinearRegression,
    "neighbours": lambda: neighbors.KNeighborsRegressor(5),
    "perceptron": lambda: neural_network.MLPRegressor(hidden_layer_sizes=(16, 8), max_iter=80, random_state=0),
}
OTHERS = {
    "isolation forest": lambda: ensemble.IsolationForest(n_estimators=7, random_state=0),
    "one-class SVM": svm.OneClassSVM,
    "k-means": lambda: cluster.KMeans(4, n_init=2, random_state=0),
    "PCA": lambda: decomposition.PCA(3),
    "truncated SVD": lambda: decomposition.TruncatedSVD(3),
    "standard scaler": preprocessing.StandardScaler,
    "min-max scaler": preprocessing.MinMaxScaler,
    "robust scaler": preprocessing.RobustScaler,
    "max-abs scaler": preprocessing.MaxAbsScaler,
    "normalizer": preprocessing.Normalizer,
    "binarizer": lambda: preprocessing.Binarizer(threshold=0.2),
    "polynomial features": lambda: preprocessing.PolynomialFeatures(3),
    "bins": lambda: preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"),
}


def _compare(model, *, zipmap=True):
    options = {id(model): {"zipmap": False}} if zipmap and not isinstance(model, svm.LinearSVC) else None
    exported = to_onnx(model, _rows[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    session = ort.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    translated = translate(exported)
    spec = {entry.name: tf.TensorSpec([None, FEATURES], tf.float32)}
    call = tf.function(translated, input_signature=[spec], autograph=False)
    for batch in (1, 7):
        rows = np.random.default_rng(batch).standard_normal((batch, FEATURES)).astype(np.float32)
        results = call({entry.name: tf.constant(rows)})
        for output, wanted in zip(session.get_outputs(), session.run(None, {entry.name: rows}), strict=True):
            found = results[output.name].numpy()
            assert found.shape == wanted.shape
            if wanted.dtype == object:
                assert [text.decode() for text in found.ravel()] == list(wanted.ravel())
            else:
                assert found.dtype == wanted.dtype
                np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", [TWO, FOUR, WORDS], ids=["two", "four", "words"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name, target):
    _compare(CLASSIFIERS[name]().fit(_rows, target))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(name):
    _compare(REGRESSORS[name]().fit(_rows, NUMBERS), zipmap=False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OTHERS)
def test_transformer(name):
    _compare(OTHERS[name]().fit(_rows), zipmap=False)


@pytest.mark.filterwarnings("ignore")
def test_what_lacks_is_named():
    model = linear_model.LogisticRegression().fit(_rows, TWO)
    with pytest.raises(UnsupportedOperators, match=r"^ai\.onnx\.ml\.ZipMap$"):
        translate(to_onnx(model, _rows[:1]))
