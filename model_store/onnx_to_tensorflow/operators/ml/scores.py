"""From raw scores to what a classifier or regressor gives, as ONNX Runtime has it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node


def transformed(scores: Any, kind: str) -> Any:
    """The node's ``post_transform``, over the last dimension."""
    if kind == "LOGISTIC":
        return tf.sigmoid(scores)
    if kind == "SOFTMAX":
        return tf.nn.softmax(scores)
    if kind == "SOFTMAX_ZERO":
        return _softmax_zero(scores)
    if kind == "PROBIT":
        return math.sqrt(2) * _inverse_erf(2 * scores - 1)
    return scores


def _softmax_zero(scores: Any) -> Any:
    """A softmax in which a score of zero stays zero."""
    largest = tf.reduce_max(scores, -1, keepdims=True)
    powers = tf.where(tf.abs(scores) > 1e-7, tf.exp(scores - largest), scores * tf.exp(-largest))
    return powers / tf.reduce_sum(powers, -1, keepdims=True)


def _inverse_erf(x: Any) -> Any:
    """Winitzki's approximation, which is ONNX Runtime's."""
    log = tf.math.log((1 - x) * (1 + x))
    half = 2 / (math.pi * 0.147) + 0.5 * log
    return tf.sign(x) * tf.sqrt(-half + tf.sqrt(half * half - log / 0.147))


def regressed(scores: Any, targets: int, kind: str) -> Any:
    """A regressor's results: ONNX Runtime leaves a single score as it is, save for PROBIT."""
    return transformed(scores, kind) if targets > 1 or kind == "PROBIT" else scores


def both_classes(score: Any, kind: str, *, complement: bool) -> Any:
    """Two columns from the score of the second class: what is left of one, or the opposite."""
    if kind == "LOGISTIC":
        return tf.sigmoid(tf.stack([-score, score], 1))
    return tf.stack([1 - score if complement else -score, score], 1)


def labels_of(node: Node) -> Any:
    """The class labels: a vector of strings or int64."""
    names = next((name for name in _LABELS if node.attribute(name)), None)
    if names is None:
        return None
    return np.array(node.attribute(names), object if "string" in names else np.int64)


_LABELS = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
