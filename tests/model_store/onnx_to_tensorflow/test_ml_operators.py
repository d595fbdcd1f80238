"""Operators of ai.onnx.ml in the forms that scikit-learn's models do not show, against ONNX Runtime."""

import itertools

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tensorflow as tf
from onnx import helper

from model_store.onnx_to_tensorflow import translate

FLOAT, INT64, STRING = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.STRING
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
_random = np.random.default_rng(0)
ROWS = _random.standard_normal((7, 3)).astype(np.float32)
WITH_NAN = np.vstack([[np.nan, 0, 1], ROWS, [1, np.nan, np.nan]]).astype(np.float32)


def _numbers(*shape):
    return _random.standard_normal(shape).ravel().tolist()


def _compare(op_type, rows, outputs, **attributes):
    node = helper.make_node(op_type, ["x"], list(outputs), domain="ai.onnx.ml", **attributes)
    kind = helper.np_dtype_to_tensor_dtype(rows.dtype) if rows.dtype != object else STRING
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("x", kind, [None, *rows.shape[1:]])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    spec = tf.TensorSpec([None, *rows.shape[1:]], tf.string if rows.dtype == object else rows.dtype)
    found = tf.function(translate(model), input_signature=[{"x": spec}], autograph=False)({"x": tf.constant(rows)})
    for name, wanted in zip(outputs, session.run(None, {"x": rows}), strict=True):
        result = found[name].numpy()
        assert result.shape == wanted.shape
        if wanted.dtype == object:
            assert [text.decode() for text in result.ravel()] == list(wanted.ravel())
        else:
            np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)


def _trees(count, targets, kind, *, positive=False, sparse=False, modes=MODES[:1]):
    """Full trees of two levels; with ``sparse`` each leaf gives one target only."""
    found = {}

    def add(name, value):
        found.setdefault(name, []).append(value)

    for tree, index in itertools.product(range(count), range(7)):
        leaf = index > 2
        add("nodes_treeids", tree)
        add("nodes_nodeids", index)
        add("nodes_modes", "LEAF" if leaf else modes[(tree + index) % len(modes)])
        add("nodes_featureids", 0 if leaf else int(_random.integers(3)))
        add("nodes_values", 0.0 if leaf else _random.standard_normal())
        add("nodes_truenodeids", 0 if leaf else 2 * index + 1)
        add("nodes_falsenodeids", 0 if leaf else 2 * index + 2)
        add("nodes_missing_value_tracks_true", 0 if leaf else int(_random.integers(2)))
        for target in _random.choice(targets, 1).tolist() if sparse and leaf else targets if leaf else []:
            weight = _random.standard_normal() * 0.3
            add(f"{kind}_treeids", tree)
            add(f"{kind}_nodeids", index)
            add(f"{kind}_ids", target)
            add(f"{kind}_weights", abs(weight) + 0.02 if positive else weight)
    return found


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("positive", [True, False], ids=["positive", "mixed"])
@pytest.mark.parametrize("targets", [[0], [1], [0, 1]], ids=str)
@pytest.mark.parametrize("base", [[], [0.1], [0.1, 0.2]], ids=str)
def test_two_classes_of_trees(transform, positive, targets, base):
    attributes = _trees(3, targets, "class", positive=positive) | ({"base_values": base} if base else {})
    outputs = {"label": INT64, "scores": FLOAT}
    _compare("TreeEnsembleClassifier", ROWS, outputs, classlabels_int64s=[5, 9], post_transform=transform, **attributes)


@pytest.mark.parametrize("transform", [*TRANSFORMS, "PROBIT"])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("base", [[], [0.1, -0.2, 0.3]], ids=str)
def test_three_classes_of_trees(transform, sparse, base):
    attributes = _trees(3, [0, 1, 2], "class", sparse=sparse) | ({"base_values": base} if base else {})
    outputs = {"label": STRING, "scores": FLOAT}
    labels = ["a", "b", "c"]
    _compare(
        "TreeEnsembleClassifier", ROWS, outputs, classlabels_strings=labels, post_transform=transform, **attributes
    )


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("modes", [MODES[:1], MODES[1:2], MODES], ids=["leq", "lt", "all"])
@pytest.mark.parametrize("targets", [[0], [0, 1]], ids=str)
def test_trees_of_numbers(aggregate, modes, targets):
    for sparse, base in itertools.product((True, False), ([], [0.5])):
        attributes = _trees(4, targets, "target", sparse=sparse, modes=modes)
        attributes |= {"base_values": base * len(targets)} if base else {}
        _compare(
            "TreeEnsembleRegressor",
            WITH_NAN,
            {"y": FLOAT},
            n_targets=len(targets),
            aggregate_function=aggregate,
            **attributes,
        )


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_linear_classifier(transform, count):
    _compare(
        "LinearClassifier",
        ROWS,
        {"label": INT64, "scores": FLOAT},
        classlabels_ints=list(range(3, 3 + max(count, 2))),
        coefficients=_numbers(count, 3),
        intercepts=_numbers(count),
        post_transform=transform,
    )


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("targets", [1, 2])
def test_linear_regressor(transform, targets):
    weights = {"coefficients": _numbers(targets, 3), "intercepts": _numbers(targets)}
    _compare("LinearRegressor", ROWS, {"y": FLOAT}, targets=targets, post_transform=transform, **weights)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("probabilities", [True, False])
def test_svm_classifier(kernel, classes, probabilities):
    pairs = classes * (classes - 1) // 2
    platt = {"prob_a": [-abs(n) for n in _numbers(pairs)], "prob_b": _numbers(pairs)} if probabilities else {}
    for transform in TRANSFORMS if kernel == "LINEAR" else TRANSFORMS[:1]:
        _compare(
            "SVMClassifier",
            ROWS,
            {"label": INT64, "scores": FLOAT},
            classlabels_ints=list(range(classes)),
            kernel_type=kernel,
            kernel_params=[0.3, 0.2, 2.0],
            support_vectors=_numbers(2 * classes, 3),
            vectors_per_class=[2] * classes,
            coefficients=_numbers(classes - 1, 2 * classes),
            rho=_numbers(pairs),
            post_transform=transform,
            **platt,
        )


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("one_class", [0, 1])
def test_svm_regressor(kernel, one_class):
    _compare(
        "SVMRegressor",
        ROWS,
        {"y": FLOAT},
        kernel_type=kernel,
        kernel_params=[0.3, 0.2, 2.0],
        support_vectors=_numbers(4, 3),
        n_supports=4,
        coefficients=_numbers(4),
        rho=[0.3],
        one_class=one_class,
    )


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalizer(norm):
    rows = np.vstack([ROWS, np.zeros((1, 3)), -np.ones((1, 3))]).astype(np.float32)
    _compare("Normalizer", rows, {"y": FLOAT}, norm=norm)


def test_features():
    _compare("Scaler", ROWS, {"y": FLOAT}, offset=[0.1, 0.2, 0.3], scale=[2.0, 3.0, 4.0])
    _compare("Binarizer", ROWS, {"y": FLOAT}, threshold=0.1)
    filling = {"imputed_value_floats": [7.0, 8.0, 9.0]}
    _compare("Imputer", WITH_NAN, {"y": FLOAT}, replaced_value_float=float("nan"), **filling)
    _compare("OneHotEncoder", np.array([[1], [3], [4]]), {"y": FLOAT}, cats_int64s=[1, 2, 3], zeros=1)
    words = np.array([["a"], ["c"], ["d"]], object)
    _compare("OneHotEncoder", words, {"y": FLOAT}, cats_strings=["a", "b", "c"], zeros=1)


def test_labels():
    words = np.array([["cat"], ["bee"], ["?"]], object)
    numbers = np.array([[3], [-2], [5]])
    keys, names = [-2, 3, 9], ["bee", "cat", "dog"]
    _compare("LabelEncoder", words, {"y": INT64}, keys_strings=names, values_int64s=keys, default_int64=-7)
    _compare("LabelEncoder", words, {"y": STRING}, keys_strings=names, values_strings=names[::-1])
    _compare("LabelEncoder", numbers, {"y": STRING}, keys_int64s=keys, values_strings=names, default_string="none")
    reals = np.array([[0.5], [np.nan], [2.5]], np.float32)
    _compare("LabelEncoder", reals, {"y": FLOAT}, keys_floats=[2.5, float("nan")], values_floats=[1.0, 2.0])
