"""What users bring, from the file to ONNX and TensorFlow in one process: every answer within the parity gate."""

import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from sklearn import (
    compose,
    decomposition,
    ensemble,
    feature_selection,
    impute,
    linear_model,
    mixture,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from model_store.exporters import prepare, sklearn_onnx
from model_store.exporters.workdir import load_tensors
from model_store.onnx_to_tensorflow import translate
from model_store.parity.compare import compare
from model_store.parity.difference import SOURCE
from model_store.parity.tolerance import Tolerance
from model_store.parity.verdict import check
from model_store.recipe import Imported
from model_store.sources.savedmodel import tf_dtype

_random = np.random.default_rng(0)
ROWS = _random.standard_normal((160, 6)).astype(np.float32)
COUNTS = _random.integers(0, 9, (160, 6))
LARGE = ROWS.astype(np.float64) * 100 + 1000
GAPS = np.where(_random.random(ROWS.shape) < 0.1, np.nan, ROWS).astype(np.float32)
_sums = ROWS[:, 0] * 1.5 + ROWS[:, 1] * ROWS[:, 2]
NUMBERS = _sums.astype(np.float32)
PAIRS = np.stack([_sums, -2 * _sums], axis=1)
TWO, FOUR = (_sums > 0).astype(np.int64), np.digitize(_sums, [-1, 0, 1])
YES, WORDS = np.where(TWO, "yes", "no"), np.array(["ant", "bee", "cat", "dog"])[FOUR]

_pipe = pipeline.make_pipeline
_scale = preprocessing.StandardScaler
_logistic = linear_model.LogisticRegression
_parts = [("a", _logistic()), ("b", tree.DecisionTreeClassifier(max_depth=3, random_state=0))]
_columns = compose.ColumnTransformer(
    [
        ("a", preprocessing.StandardScaler(), [0, 1]),
        ("b", preprocessing.MinMaxScaler(), [2, 3]),
        ("c", "passthrough", [4]),
    ]
)
MODELS = {
    "forest of truths": (ensemble.RandomForestClassifier(8, random_state=0), ROWS, TWO > 0),
    "forest of counts": (ensemble.RandomForestClassifier(8, random_state=0), COUNTS, FOUR),
    "logistic of counts": (_logistic(max_iter=500), COUNTS, FOUR),
    "multinomial Bayes": (naive_bayes.MultinomialNB(), COUNTS, WORDS),
    "gaps in the data": (ensemble.HistGradientBoostingClassifier(max_iter=5), GAPS, FOUR),
    "imputed": (_pipe(impute.SimpleImputer(), ensemble.RandomForestClassifier(5, random_state=0)), GAPS, FOUR),
    "hard vote": (ensemble.VotingClassifier(_parts), ROWS, FOUR),
    "hard vote on words": (ensemble.VotingClassifier(_parts), ROWS, WORDS),
    "soft vote": (ensemble.VotingClassifier(_parts, voting="soft"), ROWS, WORDS),
    "stacked": (ensemble.StackingClassifier(_parts, cv=2), ROWS, WORDS),
    "binary SVC": (svm.SVC(), ROWS, TWO),
    "binary SVC on words": (svm.SVC(), ROWS, YES),
    "SVC on words": (svm.SVC(), ROWS, WORDS),
    "linear SVC on words": (svm.LinearSVC(), ROWS, YES),
    "ridge classifier": (linear_model.RidgeClassifier(), ROWS, FOUR),
    "perceptron": (linear_model.Perceptron(random_state=0), ROWS, TWO),
    "mixture": (mixture.GaussianMixture(3, random_state=0), ROWS, None),
    "outliers": (neighbors.LocalOutlierFactor(novelty=True), ROWS, None),
    "two targets": (ensemble.RandomForestRegressor(8, random_state=0), ROWS, PAIRS),
    "two linear targets": (linear_model.LinearRegression(), ROWS, PAIRS),
    "a model a target": (multioutput.MultiOutputRegressor(linear_model.Ridge()), ROWS, PAIRS),
    "large numbers": (_pipe(_scale(), svm.SVR()), LARGE, NUMBERS),
    "large numbers in a net": (
        _pipe(_scale(), neural_network.MLPClassifier((16,), max_iter=50, random_state=0)),
        LARGE,
        WORDS,
    ),
    "components": (_pipe(_scale(), decomposition.PCA(3), svm.SVC(probability=True, random_state=0)), ROWS, FOUR),
    "chosen columns": (_pipe(feature_selection.SelectKBest(k=3), tree.DecisionTreeRegressor()), ROWS, NUMBERS),
    "columns apart": (_pipe(_columns, _logistic()), ROWS, FOUR),
    "one-hot": (
        _pipe(
            compose.ColumnTransformer(
                [("a", preprocessing.OneHotEncoder(handle_unknown="ignore"), [0, 1])], remainder="passthrough"
            ),
            _logistic(max_iter=500),
        ),
        COUNTS,
        FOUR,
    ),
    "polynomial": (_pipe(preprocessing.PolynomialFeatures(2), linear_model.Ridge()), ROWS, NUMBERS),
    "a pipeline that transforms": (_pipe(_scale(), decomposition.PCA(2)), ROWS, None),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_an_estimator_answers_the_same_everywhere(name, work, run_step, tmp_path):
    estimator, rows, targets = MODELS[name]
    joblib.dump(estimator.fit(rows) if targets is None else estimator.fit(rows, targets), tmp_path / "model.joblib")
    np.save(tmp_path / "rows.npy", rows[:5])
    work.frozen.rmdir()  # the source makes it
    source = Imported("tiny", "1", str(tmp_path / "model.joblib"), trust=True, samples=(str(tmp_path / "rows.npy"),))
    work.write_recipe(source)
    run_step(prepare)
    run_step(sklearn_onnx)
    signature = work.facts().model_signature()
    answers = {
        SOURCE: load_tensors(work.reference),
        "onnxruntime": answer_all(onnx_runtime(work, signature), work),
        "tensorflow": answer_all(tensorflow(work, signature), work),
    }
    check(name, compare(answers, signature, Tolerance(), work.facts().scores))


def answer_all(run, work):
    return {name: run(inputs) for name, inputs in load_tensors(work.inputs).items()}


def onnx_runtime(work, signature):
    session = onnxruntime.InferenceSession(work.onnx, providers=["CPUExecutionProvider"])
    names = [spec.name for spec in signature.outputs]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def tensorflow(work, signature):
    specs = {
        spec.name: tf.TensorSpec([None if size == -1 else size for size in spec.shape], tf_dtype(spec.datatype))
        for spec in signature.inputs
    }
    call = tf.function(translate(onnx.load(work.onnx)), input_signature=[specs], autograph=False)
    return lambda inputs: {
        name: tensor.numpy()
        for name, tensor in call({name: tf.constant(array) for name, array in inputs.items()}).items()
    }
