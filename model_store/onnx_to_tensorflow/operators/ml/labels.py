"""Maps from one label to another, without lookup tables, which a graph would have to initialize."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import ML, Node, operator


@operator("LabelEncoder", domain=ML)
def _label_encoder(node: Node) -> Any:
    if node.version == 1:
        return _first_version(node)
    keys, values, default = _column(node, "keys"), _column(node, "values"), _default(node)
    return _mapped(node[0], keys, values, default, nan_is_a_key=node.version >= 4)


def _first_version(node: Node) -> Any:
    names = _text(node.attribute("classes_strings"))
    numbers = np.arange(len(names), dtype=np.int64)
    if node[0].dtype == tf.string:
        return _mapped(node[0], names, numbers, np.array(node.attribute("default_int64", -1), np.int64))
    return _mapped(node[0], numbers, names, _text(node.attribute("default_string", "_Unused")))


def _mapped(tensor: Any, keys: Any, values: Any, default: Any, *, nan_is_a_key: bool = False) -> Any:
    flat = tf.reshape(tensor, [-1])
    if tensor.dtype == tf.string:
        sought, hashes = _hashed(flat), _hashed(tf.constant(keys))
        order = tf.argsort(hashes)
    else:
        keys = keys.astype(tensor.dtype.as_numpy_dtype)
        sought, hashes = flat, tf.constant(keys)
        order = tf.constant(np.argsort(keys, kind="stable").astype(np.int32))
    place = tf.minimum(tf.searchsorted(tf.gather(hashes, order), sought), len(keys) - 1)
    found = tf.gather(order, place)
    matches = tf.gather(tf.constant(keys), found) == flat
    if nan_is_a_key and tensor.dtype.is_floating and np.isnan(keys).any():
        missing = tf.math.is_nan(flat)
        found = tf.where(missing, int(np.flatnonzero(np.isnan(keys))[0]), found)
        matches |= missing
    result = tf.where(matches, tf.gather(tf.constant(values), found), tf.constant(default))
    return tf.ensure_shape(tf.reshape(result, tf.shape(tensor)), tensor.shape)


def _hashed(strings: Any) -> Any:
    """Numbers to search for strings by; what is found is compared in full."""
    return tf.strings.to_hash_bucket_fast(strings, 2**63 - 1)


def _column(node: Node, which: str) -> Any:
    for suffix, dtype in (("int64s", np.int64), ("floats", np.float32)):
        if f"{which}_{suffix}" in node.attributes:
            return np.asarray(node.attributes[f"{which}_{suffix}"], dtype)
    if f"{which}_strings" in node.attributes:
        return _text(node.attributes[f"{which}_strings"])
    return node.attributes[f"{which}_tensor"]


def _default(node: Node) -> Any:
    values = _column(node, "values")
    if node.attribute("default_tensor") is not None:
        return node.attribute("default_tensor").reshape(())
    if values.dtype == object:
        return _text(node.attribute("default_string", "_Unused"))
    if values.dtype.kind == "f":
        return np.array(node.attribute("default_float", -0.0), values.dtype)
    return np.array(node.attribute("default_int64", -1), values.dtype)


def _text(strings: Any) -> Any:
    return np.array(strings, object)
