"""Activation functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator

for _name, _function in {
    "Relu": tf.nn.relu,
    "Sigmoid": tf.sigmoid,
    "Softplus": tf.nn.softplus,
    "Softsign": tf.nn.softsign,
}.items():
    operator(_name, elementwise=True)(lambda node, function=_function: function(node[0]))  # type: ignore[misc]


@operator("LeakyRelu", elementwise=True)
def _leaky_relu(node: Node) -> Any:
    return tf.nn.leaky_relu(node[0], node.attribute("alpha", 0.01))


@operator("PRelu", elementwise=True)
def _prelu(node: Node) -> Any:
    return tf.where(node[0] < 0, node[0] * node[1], node[0])


@operator("ThresholdedRelu", elementwise=True)
def _thresholded_relu(node: Node) -> Any:
    return tf.where(node[0] > node.attribute("alpha", 1.0), node[0], tf.zeros_like(node[0]))


@operator("Elu", elementwise=True)
def _elu(node: Node) -> Any:
    alpha = node.attribute("alpha", 1.0)
    if alpha == 1.0:
        return tf.nn.elu(node[0])
    return tf.where(node[0] < 0, alpha * tf.math.expm1(node[0]), node[0])


@operator("Selu", elementwise=True)
def _selu(node: Node) -> Any:
    alpha, gamma = node.attribute("alpha", 1.6732632), node.attribute("gamma", 1.050701)
    return gamma * tf.where(node[0] < 0, alpha * tf.math.expm1(node[0]), node[0])


@operator("HardSigmoid", elementwise=True)
def _hard_sigmoid(node: Node) -> Any:
    return tf.clip_by_value(node.attribute("alpha", 0.2) * node[0] + node.attribute("beta", 0.5), 0, 1)


@operator("HardSwish", elementwise=True)
def _hard_swish(node: Node) -> Any:
    return node[0] * tf.nn.relu6(node[0] + 3) * (1 / 6)


@operator("Mish", elementwise=True)
def _mish(node: Node) -> Any:
    return node[0] * tf.tanh(tf.nn.softplus(node[0]))


@operator("Swish", elementwise=True)
def _swish(node: Node) -> Any:
    return node[0] * tf.sigmoid(node.attribute("alpha", 1.0) * node[0])


@operator("Gelu", elementwise=True)
def _gelu(node: Node) -> Any:
    return tf.nn.gelu(node[0], approximate=node.attribute("approximate", "none") == "tanh")


@operator("Shrink", elementwise=True)
def _shrink(node: Node) -> Any:
    threshold, bias = node.attribute("lambd", 0.5), node.attribute("bias", 0.0)
    tensor = node[0]
    wide = tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float64)
    shrunk = tf.where(wide < -threshold, wide + bias, tf.where(wide > threshold, wide - bias, tf.zeros_like(wide)))
    return tf.cast(shrunk, tensor.dtype)


@operator("Softmax")
def _softmax(node: Node) -> Any:
    return _along_axis(node, tf.nn.softmax)


@operator("LogSoftmax")
def _log_softmax(node: Node) -> Any:
    return _along_axis(node, tf.nn.log_softmax)


@operator("Hardmax")
def _hardmax(node: Node) -> Any:
    return _along_axis(node, _one_hot_of_largest)


def _one_hot_of_largest(tensor: Any, axis: int) -> Any:
    return tf.one_hot(tf.argmax(tensor, axis), tf.shape(tensor)[axis], axis=axis, dtype=tensor.dtype)


def _along_axis(node: Node, function: Any) -> Any:
    tensor = node[0]
    if node.version >= 13:
        return function(tensor, axis=node.attribute("axis", -1) % tensor.shape.rank)
    # Before version 13 everything from the axis on counts as one dimension.
    axis = node.attribute("axis", 1) % tensor.shape.rank
    if axis == tensor.shape.rank - 1:
        return function(tensor, axis=axis)
    shape = tf.shape(tensor)
    flat = tf.reshape(tensor, tf.concat([shape[:axis], [np.int32(-1)]], 0))
    return tf.ensure_shape(tf.reshape(function(flat, axis=axis), shape), tensor.shape)
