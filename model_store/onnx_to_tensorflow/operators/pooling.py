"""Pooling, in channels-last layout."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.operators.windows import Windows
from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, dimensions, stack


def _windows(node: Node) -> tuple[Any, Windows]:
    tensor = node.value(0).tensor(channels_last=True)
    return tensor, Windows.of(node, tensor, list(node.attribute("kernel_shape")))


@operator("MaxPool")
def _max_pool(node: Node) -> Any:
    tensor, windows = _windows(node)
    if node.outputs > 1:
        return _max_pool_with_indices(node, tensor, windows)
    if not tensor.dtype.is_floating:  # there are kernels for floating point only
        padded = windows.padded(tensor, tensor.dtype.min)
        return Value(tf.reduce_max(windows.gathered(padded), -1), channels_last=True)
    padding = "VALID"
    if windows.unpadded or not windows.same(tensor):
        tensor = windows.padded(tensor, tensor.dtype.min)
    else:
        padding = "SAME"
    return Value(_pool(tensor, windows, "MAX", padding), channels_last=True)


def _pool(tensor: Any, windows: Windows, kind: str, padding: str = "VALID") -> Any:
    dilations = windows.dilations if max(windows.dilations) > 1 else None
    if dilations and max(windows.strides) > 1:  # tf.nn.pool has one or the other
        contents = windows.gathered(windows.padded(tensor, tensor.dtype.min) if padding == "SAME" else tensor)
        return tf.reduce_max(contents, -1) if kind == "MAX" else tf.reduce_mean(contents, -1)
    if dilations:
        return tf.nn.pool(tensor, windows.kernel, kind, windows.strides, padding, dilations=dilations)
    function = tf.nn.max_pool if kind == "MAX" else tf.nn.avg_pool
    return function(tensor, windows.kernel, windows.strides, padding)


def _max_pool_with_indices(node: Node, tensor: Any, windows: Windows) -> Any:
    """The positions too, counted through the whole unpadded tensor in ONNX's layout."""
    batch, *sizes, channels = dimensions(tensor)
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    if node.attribute("storage_order", 0):
        strides = [math.prod(sizes[:axis]) for axis in range(len(sizes))]
    position = tf.zeros([1] * tensor.shape.rank, tf.int64)
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        shape = [1] * tensor.shape.rank
        shape[axis + 1] = -1
        position += tf.reshape(tf.range(tf.cast(size, tf.int64)) * tf.cast(stride, tf.int64), shape)
    contents = windows.gathered(windows.padded(tensor, tensor.dtype.min))
    best = tf.argmax(contents, -1)
    where = windows.gathered(windows.padded(position))
    where = tf.broadcast_to(where, tf.shape(contents))
    inner = tf.gather(where, best, batch_dims=best.shape.rank)
    channel = tf.range(tf.cast(channels, tf.int64))
    plane = tf.reshape(tf.range(tf.cast(batch, tf.int64)), [-1, *[1] * (tensor.shape.rank - 1)]) * tf.cast(
        channels, tf.int64
    )
    inner += (plane + channel) * tf.cast(math.prod(sizes), tf.int64)
    return [Value(tf.reduce_max(contents, -1), channels_last=True), Value(inner, channels_last=True)]


@operator("AveragePool")
def _average_pool(node: Node) -> Any:
    tensor, windows = _windows(node)
    if windows.unpadded:
        return Value(_pool(tensor, windows, "AVG"), channels_last=True)
    counts_padding = bool(node.attribute("count_include_pad", 0))
    if not counts_padding and max(windows.dilations) == 1 and windows.same(tensor):
        return Value(_pool(tensor, windows, "AVG", "SAME"), channels_last=True)
    # What a window averages over: its share of ones among zeros.
    ones = tf.ones(stack([1, *dimensions(tensor)[1:-1], 1]), tensor.dtype)
    if counts_padding:
        ones = windows.padded(ones, 1, excess=False)
        behind = tf.reshape(stack([0, 0, *(w for more in windows.excess for w in (0, more)), 0, 0]), [-1, 2])
        ones = tf.pad(ones, behind)
    else:
        ones = windows.padded(ones)
    share = _pool(ones, windows, "AVG")
    return Value(_pool(windows.padded(tensor), windows, "AVG") / share, channels_last=True)


@operator("LpPool")
def _lp_pool(node: Node) -> Any:
    tensor, windows = _windows(node)
    power = node.attribute("p", 2)
    total = tf.reduce_sum(windows.gathered(windows.padded(tf.abs(tensor))) ** power, -1)
    return Value(total ** (1 / power), channels_last=True)


@operator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def _global_pool(node: Node) -> Any:
    tensor = node.value(0).tensor(channels_last=True)
    axes = list(range(1, tensor.shape.rank - 1))
    if node.op_type == "GlobalAveragePool":
        result = tf.reduce_mean(tensor, axes, keepdims=True)
    elif node.op_type == "GlobalMaxPool":
        result = tf.reduce_max(tensor, axes, keepdims=True)
    else:
        power = node.attribute("p", 2)
        result = tf.reduce_sum(tf.abs(tensor) ** power, axes, keepdims=True) ** (1 / power)
    return Value(result, channels_last=True)


@operator("MaxUnpool")
def _max_unpool(node: Node) -> Any:
    tensor, indices = node[0], node[1]
    kernel = node.attribute("kernel_shape")
    strides, pads = node.attribute("strides", [1] * len(kernel)), node.attribute("pads", [0] * (2 * len(kernel)))
    batch, channels, *sizes = dimensions(tensor)
    natural = [
        (size - 1) * strides[axis] - pads[axis] - pads[axis + len(kernel)] + kernel[axis]
        for axis, size in enumerate(sizes)
    ]
    # The indices count through the natural size, whatever size is asked for.
    shape = stack([batch, channels, *natural])
    flat = tf.scatter_nd(
        tf.reshape(indices, [-1, 1]), tf.reshape(tensor, [-1]), tf.cast(tf.reduce_prod(shape)[None], tf.int64)
    )
    result = tf.reshape(flat, shape)
    if not node.has(2):
        return result
    wanted = tf.cast(node[2], tf.int32)
    return tf.pad(result, tf.stack([tf.zeros_like(wanted), wanted - shape], 1))
