"""Support vector machines, as libsvm and ONNX Runtime compute them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.operators.ml.scores import both_classes, labels_of, regressed, transformed
from model_store.onnx_to_tensorflow.registry import ML, Node, operator


@operator("SVMRegressor", domain=ML)
def _svm_regressor(node: Node) -> Any:
    coefficients = np.asarray(node.attribute("coefficients"), np.float32)
    count = node.attribute("n_supports", 0)
    vectors = node.attribute("support_vectors") if count else coefficients
    kernels = _kernels(node, np.asarray(vectors, np.float32).reshape(max(count, 1), -1))
    scores = tf.matmul(kernels, tf.constant(coefficients[:, None])) if count else kernels
    scores += node.attribute("rho")[0]
    if node.attribute("one_class", 0):
        return tf.where(scores > 0, tf.ones_like(scores), -tf.ones_like(scores))
    return regressed(scores, 1, node.attribute("post_transform", "NONE"))


@operator("SVMClassifier", domain=ML)
def _svm_classifier(node: Node) -> Any:
    labels, transform = labels_of(node), node.attribute("post_transform", "NONE")
    classes = len(labels)
    coefficients = np.asarray(node.attribute("coefficients"), np.float32)
    sizes = node.attribute("vectors_per_class")
    node.require(bool(sizes), "no support vectors")
    vectors = np.asarray(node.attribute("support_vectors"), np.float32).reshape(sum(sizes), -1)
    kernels = _kernels(node, vectors)
    scores = tf.matmul(kernels, tf.constant(_pairwise(coefficients.reshape(classes - 1, -1), sizes)))
    scores += tf.constant(node.attribute("rho"), tf.float32)
    best = _most_votes(scores, classes)
    if node.attribute("prob_a"):
        scores = _probabilities(node, scores, classes)
    elif classes == 2:
        both = both_classes(scores[:, 0], transform, complement=transform != "NONE")
        return [tf.gather(tf.constant(labels), best), both]
    return [tf.gather(tf.constant(labels), best), transformed(scores, transform)]


def _kernels(node: Node, vectors: Any) -> Any:
    """Each row's kernel with each support vector."""
    rows, kind = tf.cast(node[0], tf.float32), node.attribute("kernel_type", "LINEAR")
    gamma, coef0, degree = node.attribute("kernel_params") or (0.0, 0.0, 0.0)
    if kind == "RBF":
        # The differences themselves: squares of sums lose what is small.
        return tf.exp(-gamma * tf.reduce_sum(tf.square(rows[:, None] - tf.constant(vectors)), -1))
    product = tf.matmul(rows, tf.constant(vectors.T.copy()))
    if kind == "POLY":
        return (gamma * product + coef0) ** degree
    return tf.tanh(gamma * product + coef0) if kind == "SIGMOID" else product


def _pairwise(coefficients: Any, sizes: list[int]) -> Any:
    """One column of weights for each pair of classes."""
    bounds = np.cumsum([0, *sizes])
    columns = []
    for one, other in itertools.combinations(range(len(sizes)), 2):
        column = np.zeros(bounds[-1], np.float32)
        column[bounds[one] : bounds[one + 1]] = coefficients[other - 1, bounds[one] : bounds[one + 1]]
        column[bounds[other] : bounds[other + 1]] = coefficients[one, bounds[other] : bounds[other + 1]]
        columns.append(column)
    return np.stack(columns, 1)


def _most_votes(scores: Any, classes: int) -> Any:
    wins = tf.cast(scores > 0, tf.float32)
    votes = [tf.zeros_like(wins[:, 0])] * classes
    for index, (one, other) in enumerate(itertools.combinations(range(classes), 2)):
        votes[one] += wins[:, index]
        votes[other] += 1 - wins[:, index]
    return tf.argmax(tf.stack(votes, 1), 1)


def _probabilities(node: Node, scores: Any, classes: int) -> Any:
    """Platt's probability of each pair, joined to one for each class."""
    slopes, offsets = (tf.constant(node.attribute(name), tf.float32) for name in ("prob_a", "prob_b"))
    pairs = tf.clip_by_value(1 - tf.sigmoid(scores * slopes + offsets), 1e-7, 1 - 1e-7)
    table: list[list[Any]] = [[tf.zeros_like(pairs[:, 0])] * classes for _ in range(classes)]
    for index, (one, other) in enumerate(itertools.combinations(range(classes), 2)):
        table[one][other], table[other][one] = pairs[:, index], 1 - pairs[:, index]
    return _coupled(tf.stack([tf.stack(row, 1) for row in table], 1), classes)


def _coupled(pairs: Any, classes: int) -> Any:
    """Wu, Lin and Weng's second method: the fixed point that libsvm iterates to, all rows side by side."""
    cross = -tf.transpose(pairs, [0, 2, 1]) * pairs
    matrix = tf.linalg.set_diag(cross, tf.reduce_sum(tf.square(pairs), 1))
    estimate = tf.fill(tf.shape(pairs)[:2], 1 / classes)
    tolerance = 0.005 / classes

    def products(estimate: Any) -> tuple[Any, Any]:
        product = tf.linalg.matvec(matrix, estimate)
        return product, tf.reduce_sum(estimate * product, 1)

    def refine(step: Any, estimate: Any, _: Any) -> Any:
        product, whole = products(estimate)
        busy = tf.reduce_max(tf.abs(product - whole[:, None]), 1) >= tolerance
        following = estimate
        for index in range(classes):
            diagonal = matrix[:, index, index]
            change = (whole - product[:, index]) / diagonal
            following += change[:, None] * tf.one_hot(index, classes)
            whole = (whole + change * (change * diagonal + 2 * product[:, index])) / tf.square(1 + change)
            product = (product + change[:, None] * matrix[:, index]) / (1 + change[:, None])
            following /= 1 + change[:, None]
        return step + 1, tf.where(busy[:, None], following, estimate), tf.reduce_any(busy)

    start = (tf.constant(0), estimate, tf.constant(True))
    limit = max(100, classes)
    return tf.while_loop(lambda step, _, busy: busy & (step < limit), refine, start)[1]
