"""Linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.operators.ml.scores import both_classes, labels_of, regressed, transformed
from model_store.onnx_to_tensorflow.registry import ML, Node, operator


@operator("LinearRegressor", domain=ML)
def _linear_regressor(node: Node) -> Any:
    targets = node.attribute("targets", 1)
    return regressed(_linear(node, targets), targets, node.attribute("post_transform", "NONE"))


@operator("LinearClassifier", domain=ML)
def _linear_classifier(node: Node) -> Any:
    labels, transform = labels_of(node), node.attribute("post_transform", "NONE")
    count = len(node.attribute("intercepts", [])) or (1 if labels is None else len(labels))
    scores = _linear(node, count)
    labels = np.arange(max(count, 2)) if labels is None else labels
    if count > 1:
        return [tf.gather(tf.constant(labels), tf.argmax(scores, -1)), transformed(scores, transform)]
    score = scores[:, 0]
    label = tf.where(score > 0, tf.constant(labels[1]), tf.constant(labels[0]))
    return [label, both_classes(score, transform, complement=True)]


def _linear(node: Node, count: int) -> Any:
    weights = np.asarray(node.attribute("coefficients"), np.float32).reshape(count, -1).T
    scores = tf.matmul(tf.cast(node[0], tf.float32), tf.constant(weights))
    intercepts = node.attribute("intercepts", [])
    return tf.nn.bias_add(scores, tf.constant(intercepts, tf.float32)) if intercepts else scores
