"""Normalizations."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, dimensions, stack


@operator("BatchNormalization")
def _batch_normalization(node: Node) -> Any:
    node.require(not node.attribute("training_mode", 0), "training mode")
    value = node.value(0)
    scale, bias, mean, variance = (node[index] for index in range(1, 5))
    factor = scale * tf.math.rsqrt(variance + node.attribute("epsilon", 1e-5))
    shift = bias - mean * factor
    if value.channels_last:
        return Value(
            tf.nn.bias_add(value.tensor(channels_last=True) * tf.cast(factor, scale.dtype), shift), channels_last=True
        )
    rank = node[0].shape.rank
    return node[0] * _along_channels(factor, rank) + _along_channels(shift, rank)


def _along_channels(vector: Any, rank: int) -> Any:
    return tf.reshape(vector, [-1, *[1] * (rank - 2)]) if rank > 1 else vector


def _wide(node: Node, tensor: Any) -> Any:
    """In the precision that ``stash_type`` asks for: half precision is not enough for sums of squares."""
    return tf.cast(tensor, tf.float32) if node.attribute("stash_type", 1) == 1 and tensor.dtype.size < 4 else tensor


@operator("LayerNormalization")
def _layer_normalization(node: Node) -> Any:
    tensor = _wide(node, node[0])
    rank = tensor.shape.rank
    axes = list(range(node.attribute("axis", -1) % rank, rank))
    mean = tf.reduce_mean(tensor, axes, keepdims=True)
    centred = tensor - mean
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    inverse = tf.math.rsqrt(variance + node.attribute("epsilon", 1e-5))
    result = tf.cast(centred * inverse, node[0].dtype) * node[1]
    return [result + node[2] if node.has(2) else result, mean, inverse]


@operator("RMSNormalization")
def _rms_normalization(node: Node) -> Any:
    tensor = _wide(node, node[0])
    rank = tensor.shape.rank
    axes = list(range(node.attribute("axis", -1) % rank, rank))
    square = tf.reduce_mean(tf.square(tensor), axes, keepdims=True)
    return tf.cast(tensor * tf.math.rsqrt(square + node.attribute("epsilon", 1e-5)), node[0].dtype) * node[1]


@operator("InstanceNormalization")
def _instance_normalization(node: Node) -> Any:
    value = node.value(0)
    tensor = value.tensor(channels_last=True)
    axes = list(range(1, tensor.shape.rank - 1))
    result = _standardized(tensor, axes, node.attribute("epsilon", 1e-5)) * node[1] + node[2]
    return Value(result, channels_last=True)


def _standardized(tensor: Any, axes: list[int], epsilon: float) -> Any:
    centred = tensor - tf.reduce_mean(tensor, axes, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axes, keepdims=True) + epsilon)


@operator("GroupNormalization")
def _group_normalization(node: Node) -> Any:
    tensor, groups = node.value(0).tensor(channels_last=True), node.attribute("num_groups")
    sizes = dimensions(tensor)
    wide = _wide(node, tensor)
    parts = tf.reshape(wide, stack([*sizes[:-1], groups, sizes[-1] // groups]))
    rank = parts.shape.rank
    axes = [*range(1, rank - 2), rank - 1]
    result = tf.cast(_standardized(parts, axes, node.attribute("epsilon", 1e-5)), tensor.dtype)
    if node.version < 21:  # one scale a group
        result = result * node[1][:, None] + node[2][:, None]
        return Value(tf.reshape(result, stack(sizes)), channels_last=True)
    return Value(tf.reshape(result, stack(sizes)) * node[1] + node[2], channels_last=True)


@operator("LRN")
def _lrn(node: Node) -> Any:
    tensor, size = node.value(0).tensor(channels_last=True), node.attribute("size")
    before, after = (size - 1) // 2, size // 2
    squares = tf.pad(tf.square(tensor), [*[(0, 0)] * (tensor.shape.rank - 1), (before, after)])
    channels = dimensions(tensor)[-1]
    total = tf.add_n([squares[..., start : start + channels] for start in range(size)])
    scale = node.attribute("bias", 1.0) + node.attribute("alpha", 1e-4) / size * total
    return Value(tensor / scale ** node.attribute("beta", 0.75), channels_last=True)


@operator("LpNormalization")
def _lp_normalization(node: Node) -> Any:
    tensor, axis = node[0], node.attribute("axis", -1)
    if node.attribute("p", 2) == 1:
        norm = tf.reduce_sum(tf.abs(tensor), axis, keepdims=True)
    else:
        norm = tf.sqrt(tf.reduce_sum(tf.square(tensor), axis, keepdims=True))
    return tf.math.divide_no_nan(tensor, norm)
