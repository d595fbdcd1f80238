"""Tensors out of nothing: constants, ranges, random numbers, windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.dtypes import tf_dtype
from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions, elements, stack

_CONSTANT_TYPES = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_string": object,
    "value_strings": object,
}


@operator("Constant")
def _constant(node: Node) -> Any:
    if "value" in node.attributes:
        return node.attributes["value"]
    ((name, value),) = node.attributes.items()
    node.require(name in _CONSTANT_TYPES, name)
    return np.array(value, _CONSTANT_TYPES[name])


@operator("ConstantOfShape")
def _constant_of_shape(node: Node) -> Any:
    value = node.attribute("value", np.zeros(1, np.float32))
    return tf.fill(stack(elements(node[0])), tf.constant(value[0]))


@operator("Range")
def _range(node: Node) -> Any:
    start, limit, delta = (tf.reshape(node[index], []) for index in range(3))
    if start.dtype in (tf.float16, tf.bfloat16, tf.int16):
        wide = tf.int32 if start.dtype == tf.int16 else tf.float32
        return tf.cast(tf.range(*(tf.cast(part, wide) for part in (start, limit, delta))), start.dtype)
    return tf.range(start, limit, delta)


@operator("EyeLike")
def _eye_like(node: Node) -> Any:
    rows, columns = dimensions(node[0])
    dtype = tf_dtype(node.attribute("dtype")) if "dtype" in node.attributes else node[0].dtype
    return tf.cast(tf.range(columns)[None, :] - tf.range(rows)[:, None] == node.attribute("k", 0), dtype)


@operator("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", random=True)
def _random(node: Node) -> Any:
    shape = tf.shape(node[0]) if node.values else node.attribute("shape")
    default = node[0].dtype if node.values and node[0].dtype.is_floating else tf.float32
    dtype = tf_dtype(node.attribute("dtype")) if "dtype" in node.attributes else default
    if node.op_type.startswith("RandomNormal"):
        return tf.random.normal(shape, node.attribute("mean", 0.0), node.attribute("scale", 1.0), dtype)
    return tf.random.uniform(shape, node.attribute("low", 0.0), node.attribute("high", 1.0), dtype)
