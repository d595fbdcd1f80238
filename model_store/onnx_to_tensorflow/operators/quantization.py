"""Quantized numbers: conversions, and products of integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import tensorflow as tf

from model_store.onnx_to_tensorflow.dtypes import tf_dtype
from model_store.onnx_to_tensorflow.operators.convolution import convolve
from model_store.onnx_to_tensorflow.operators.linear_algebra import matmul
from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, dimensions


@operator("QuantizeLinear")
def _quantize_linear(node: Node) -> Any:
    value = node.value(0)
    last, rank = _layout(node)
    dtype = node[2].dtype if node.has(2) else tf_dtype(node.attribute("output_dtype", 0) or onnx.TensorProto.UINT8)
    tensor = value.tensor(channels_last=last)
    scale, zero = (_spread(node, index, rank, last) for index in (1, 2))
    return Value(quantized(tensor, scale, zero, dtype), channels_last=last)


@operator("DequantizeLinear")
def _dequantize_linear(node: Node) -> Any:
    last, rank = _layout(node)
    tensor = node.value(0).tensor(channels_last=last)
    scale, zero = (_spread(node, index, rank, last) for index in (1, 2))
    wide = tf.cast(tensor, tf.float32)
    result = (wide if zero is None else wide - tf.cast(zero, tf.float32)) * tf.cast(scale, tf.float32)
    return Value(tf.cast(result, scale.dtype), channels_last=last)


def quantized(tensor: Any, scale: Any, zero: Any, dtype: Any) -> Any:
    """Rounded to the nearest step, halves to even steps, and kept within the type."""
    steps = tf.round(tf.cast(tensor, tf.float32) / tf.cast(scale, tf.float32))
    if zero is not None:
        steps += tf.cast(zero, tf.float32)
    limits = np.iinfo(dtype.as_numpy_dtype)
    return tf.cast(tf.clip_by_value(steps, float(limits.min), float(limits.max)), dtype)


def _layout(node: Node) -> tuple[bool, int]:
    """Whether the tensor may stay channels-last, and its rank."""
    value = node.value(0)
    rank = value.rank
    plain = node.value(1).rank == 0 or (node.value(1).rank == 1 and node.attribute("axis", 1) % rank == 1)
    return value.channels_last and plain and not node.attribute("block_size", 0), rank


def _spread(node: Node, index: int, rank: int, last: bool) -> Any:
    """The scale or the zero point, shaped to fit the tensor."""
    part = node.get(index)
    if part is None or part.shape.rank == 0 or part.shape == [1]:
        return part
    axis = node.attribute("axis", 1) % rank
    if block := node.attribute("block_size", 0):
        size = dimensions(node[0])[axis]
        return tf.repeat(part, block, axis)[(*[slice(None)] * axis, slice(size))]
    shape = [1] * rank
    shape[-1 if last else axis] = -1
    return tf.reshape(part, shape)


@operator("MatMulInteger")
def _matmul_integer(node: Node) -> Any:
    left, right = (tf.cast(node[index], tf.int32) for index in (0, 1))
    if node.has(2):
        left -= _of_rows(tf.cast(node[2], tf.int32))
    if node.has(3):
        right -= tf.cast(node[3], tf.int32)
    return matmul(left, right)


def _of_rows(zero: Any) -> Any:
    return zero[:, None] if zero.shape.rank == 1 and zero.shape[0] != 1 else zero


@operator("ConvInteger")
def _conv_integer(node: Node) -> Any:
    """Through floating point, which is exact as long as sums stay below 2**53."""
    tensor = tf.cast(node.value(0).tensor(channels_last=True), tf.float64)
    weights = tf.cast(node[1], tf.float64)
    if node.has(2):
        tensor -= tf.cast(node[2], tf.float64)
    if node.has(3):
        zero = tf.cast(node[3], tf.float64)
        weights -= tf.reshape(zero, [-1, *[1] * (weights.shape.rank - 1)])
    return Value(tf.cast(convolve(node, tensor, weights), tf.int32), channels_last=True)


@operator("QLinearMatMul")
def _qlinear_matmul(node: Node) -> Any:
    left, left_zero, right, right_zero = (tf.cast(node[index], tf.float32) for index in (0, 2, 3, 5))
    left = (left - _of_rows(left_zero)) * _of_rows(tf.cast(node[1], tf.float32))
    right = (right - right_zero) * tf.cast(node[4], tf.float32)
    return quantized(matmul(left, right), _of_rows(node[6]), _of_rows(node[7]), node[7].dtype)


@operator("QLinearConv")
def _qlinear_conv(node: Node) -> Any:
    rank = node[3].shape.rank
    tensor = node.value(0).tensor(channels_last=True)
    tensor = (tf.cast(tensor, tf.float32) - tf.cast(node[2], tf.float32)) * node[1]
    view = [-1, *[1] * (rank - 1)]
    scales = tf.reshape(node[4], view)
    weights = (tf.cast(node[3], tf.float32) - tf.reshape(tf.cast(node[5], tf.float32), view)) * scales
    result = convolve(node, tensor, weights)
    if node.has(8):
        result += tf.cast(node[8], tf.float32) * node[1] * node[4]
    return Value(quantized(result, node[6], node[7], node[7].dtype), channels_last=True)
