"""Elementwise truth and bits, and choices made by them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.dtypes import tf_dtype
from model_store.onnx_to_tensorflow.registry import Node, operator

for _name, _function in {
    "And": tf.logical_and,
    "Or": tf.logical_or,
    "Xor": tf.math.logical_xor,
    "Equal": tf.equal,
    "Greater": tf.greater,
    "GreaterOrEqual": tf.greater_equal,
    "Less": tf.less,
    "LessOrEqual": tf.less_equal,
    "BitwiseAnd": tf.bitwise.bitwise_and,
    "BitwiseOr": tf.bitwise.bitwise_or,
    "BitwiseXor": tf.bitwise.bitwise_xor,
}.items():
    operator(_name, elementwise=True)(lambda node, function=_function: function(node[0], node[1]))  # type: ignore[misc]


@operator("Not", elementwise=True)
def _not(node: Node) -> Any:
    return tf.logical_not(node[0])


@operator("BitwiseNot", elementwise=True)
def _bitwise_not(node: Node) -> Any:
    return tf.bitwise.invert(node[0])


@operator("BitShift", elementwise=True)
def _bit_shift(node: Node) -> Any:
    tensor, amount = node[0], node[1]
    left = node.attribute("direction") == "LEFT"
    shift = tf.bitwise.left_shift if left else tf.bitwise.right_shift
    # Beyond the width TensorFlow's result depends on the processor.
    width = tf.constant(8 * tensor.dtype.size, tensor.dtype)
    beyond = (amount < 0) | (amount >= width)
    shifted = shift(tensor, tf.where(beyond, width - 1, amount))
    return tf.where(beyond, tf.zeros([], tensor.dtype), shifted) if left or tensor.dtype.is_unsigned else shifted


@operator("BitCast")
def _bit_cast(node: Node) -> Any:
    tensor, dtype = node[0], tf_dtype(node.attribute("to"))
    if tf.bool in (tensor.dtype, dtype):
        return tf.cast(tensor, dtype)
    return tf.bitcast(tensor, dtype)


@operator("IsNaN", elementwise=True)
def _is_nan(node: Node) -> Any:
    return tf.math.is_nan(node[0])


@operator("IsInf", elementwise=True)
def _is_inf(node: Node) -> Any:
    tensor = node[0]
    result = tf.math.is_inf(tensor)
    if not node.attribute("detect_positive", 1):
        result &= tensor < 0
    if not node.attribute("detect_negative", 1):
        result &= tensor > 0
    return result


@operator("Where", elementwise=True)
def _where(node: Node) -> Any:
    return tf.where(node[0], node[1], node[2])


@operator("Identity", elementwise=True)
def _identity(node: Node) -> Any:
    return tf.identity(node[0])


@operator("Dropout", elementwise=True)
def _dropout(node: Node) -> Any:
    """Which does nothing where models are served."""
    node.require(not node.has(2) or not node.fixed("training_mode", 2), "training mode")
    return [node[0], tf.ones_like(node[0], tf.bool)]
