"""Preparation of features."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import ML, Node, operator


@operator("Scaler", domain=ML)
def _scaler(node: Node) -> Any:
    rows = tf.cast(node[0], tf.float32)
    return (rows - tf.constant(node.attribute("offset"), tf.float32)) * tf.constant(node.attribute("scale"), tf.float32)


@operator("Normalizer", domain=ML)
def _normalizer(node: Node) -> Any:
    rows, kind = tf.cast(node[0], tf.float32), node.attribute("norm", "MAX")
    if kind == "MAX":
        norm = tf.reduce_max(rows, -1, keepdims=True)
    elif kind == "L1":
        norm = tf.reduce_sum(tf.abs(rows), -1, keepdims=True)
    else:
        norm = tf.sqrt(tf.reduce_sum(tf.square(rows), -1, keepdims=True))
    return tf.where(norm == 0, rows, rows / norm)


@operator("Imputer", domain=ML)
def _imputer(node: Node) -> Any:
    rows = node[0]
    kind = "float" if rows.dtype.is_floating else "int64"
    replaced = node.attribute(f"replaced_value_{kind}", 0)
    filling = tf.constant(node.attribute(f"imputed_value_{kind}s"), rows.dtype)
    return tf.where(tf.math.is_nan(rows) if np.isnan(replaced) else rows == replaced, filling, rows)


@operator("Binarizer", domain=ML)
def _binarizer(node: Node) -> Any:
    return tf.cast(node[0] > tf.cast(node.attribute("threshold", 0.0), node[0].dtype), node[0].dtype)


@operator("FeatureVectorizer", domain=ML)
def _feature_vectorizer(node: Node) -> Any:
    parts = [tf.cast(part, tf.float32) for part in node.all_from(0)]
    return tf.concat([part[:, None] if part.shape.rank == 1 else part for part in parts], 1)


@operator("OneHotEncoder", domain=ML)
def _one_hot_encoder(node: Node) -> Any:
    rows = node[0]
    if rows.dtype == tf.string:
        categories = tf.constant(node.attribute("cats_strings"))
    else:
        categories = tf.cast(tf.constant(node.attribute("cats_int64s"), tf.int64), rows.dtype)
    node.require(bool(node.attribute("zeros", 1)), "unknown categories as an error")
    return tf.cast(rows[..., None] == categories, tf.float32)
