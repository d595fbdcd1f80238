"""Convolutions, in channels-last layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.operators.windows import Windows, at_least
from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, dimensions, stack


@operator("Conv")
def _conv(node: Node) -> Any:
    tensor = node.value(0).tensor(channels_last=True)
    result = convolve(node, tensor, node[1])
    return Value(tf.nn.bias_add(result, node[2]) if node.has(2) else result, channels_last=True)


def convolve(node: Node, tensor: Any, weights: Any) -> Any:
    """The convolution that the node's attributes describe, of a channels-last tensor and ONNX's weights."""
    groups = node.attribute("group", 1)
    kernel = weights.shape.as_list()[2:]
    node.require(None not in kernel, "a kernel of unknown size")
    windows = Windows.of(node, tensor, kernel)
    if len(kernel) == 1:  # as an image of height one
        windows = Windows(
            [1, *windows.kernel], [1, *windows.strides], [1, *windows.dilations], [(0, 0), *windows.pads], [0, 0]
        )
        return tf.squeeze(_convolve(tensor[:, None], weights[:, :, None], windows, groups), 1)
    return _convolve(tensor, weights, windows, groups)


def _convolve(tensor: Any, weights: Any, windows: Windows, groups: int) -> Any:
    padding = "VALID"
    if not windows.unpadded:
        padding = "SAME" if windows.same(tensor) else padding
        tensor = tensor if padding == "SAME" else windows.padded(tensor)
    if len(windows.kernel) == 2 and groups > 1 and weights.shape[1] == 1:
        return _depthwise(tensor, weights, windows, groups, padding)
    if groups > 1:
        parts = zip(tf.split(tensor, groups, -1), tf.split(weights, groups, 0), strict=True)
        return tf.concat([_single(part, own, windows, padding) for part, own in parts], -1)
    return _single(tensor, weights, windows, padding)


def _single(tensor: Any, weights: Any, windows: Windows, padding: str) -> Any:
    filters = _moved(weights, [*range(2, weights.shape.rank), 1, 0])
    if len(windows.kernel) == 2:
        return tf.nn.conv2d(tensor, filters, windows.strides, padding, dilations=windows.dilations)
    filters = dilated(filters, windows.dilations)
    return tf.nn.conv3d(tensor, filters, [1, *windows.strides, 1], padding)


def _depthwise(tensor: Any, weights: Any, windows: Windows, groups: int, padding: str) -> Any:
    height, width = windows.kernel
    filters = tf.reshape(_moved(weights, [2, 3, 1, 0]), [height, width, groups, -1])
    strides, dilations = windows.strides, windows.dilations
    if max(strides) > 1 and max(dilations) > 1:  # the kernel has one or the other
        filters, dilations = dilated(filters, dilations), [1, 1]
    # There is no kernel for strides that differ: every step, of which most are left out afterwards.
    if strides[0] == strides[1] or (tensor.shape[1] == 1 and height == 1):
        return tf.nn.depthwise_conv2d(tensor, filters, [1, strides[1], strides[1], 1], padding, dilations=dilations)
    padded = windows.padded(tensor) if padding == "SAME" else tensor
    dense = tf.nn.depthwise_conv2d(padded, filters, [1, 1, 1, 1], "VALID", dilations=dilations)
    return dense[:, :: strides[0], :: strides[1]]


def dilated(filters: Any, dilations: list[int]) -> Any:
    """Filters with their gaps written out as zeros, where TensorFlow has no kernel with dilations."""
    for axis, dilation in enumerate(dilations):
        if dilation > 1:
            size = filters.shape[axis]
            spread = np.zeros(((size - 1) * dilation + 1, size), np.float32)
            spread[np.arange(size) * dilation, np.arange(size)] = 1
            filters = tf.tensordot(tf.cast(spread, filters.dtype), filters, [[1], [axis]])
            filters = tf.transpose(filters, [*range(1, axis + 1), 0, *range(axis + 1, filters.shape.rank)])
    return filters


def _moved(weights: Any, order: list[int]) -> Any:
    """A transposition that is done now when the weights are constant."""
    constant = tf.get_static_value(weights)
    return tf.transpose(weights, order) if constant is None else tf.constant(constant.transpose(order).copy())


@operator("ConvTranspose")
def _conv_transpose(node: Node) -> Any:
    tensor, weights = node.value(0).tensor(channels_last=True), node[1]
    groups = node.attribute("group", 1)
    kernel = weights.shape.as_list()[2:]
    rank, ones = len(kernel), [1] * len(kernel)
    strides, dilations = list(node.attribute("strides", ones)), list(node.attribute("dilations", ones))
    parts = zip(tf.split(tensor, groups, -1), tf.split(weights, groups, 0), strict=True)
    full = tf.concat([_full_transpose(part, own, strides, dilations) for part, own in parts], -1)
    extra = list(node.attribute("output_padding", [0] * rank))
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    sizes = dimensions(tensor)[1:-1]
    slices, widths = [slice(None)], [(0, 0)]
    for axis, (begin, end) in enumerate(_crops(node, sizes, spans, strides, extra)):
        whole = (sizes[axis] - 1) * strides[axis] + spans[axis]
        slices.append(slice(at_least(0, begin), whole - at_least(0, end)))
        widths.append((at_least(0, -begin), at_least(0, -end)))
    result = full[tuple(slices)]
    if any(not isinstance(width, int) or width for pair in widths for width in pair):
        paddings = stack([width for pair in [*widths, (0, 0)] for width in pair])
        result = tf.pad(result, tf.reshape(paddings, [rank + 2, 2]))
    return Value(tf.nn.bias_add(result, node[2]) if node.has(2) else result, channels_last=True)


def _crops(
    node: Node, sizes: list[Any], spans: list[int], strides: list[int], extra: list[int]
) -> list[tuple[Any, Any]]:
    """What to cut off the full result before and after; negative where something is added instead."""
    kind, shape = node.attribute("auto_pad", "NOTSET"), node.attribute("output_shape")
    rank = len(spans)
    if shape is None and kind in ("NOTSET", "VALID"):
        pads = list(node.attribute("pads", [0] * (2 * rank)))
        return [(pads[axis], pads[axis + rank] - extra[axis]) for axis in range(rank)]
    crops = []
    for axis in range(rank):
        wanted = sizes[axis] * strides[axis] if shape is None else shape[axis - rank]
        total = strides[axis] * (sizes[axis] - 1) + extra[axis] + spans[axis] - wanted
        half = total // 2
        begin, end = (half, total - half) if kind == "SAME_UPPER" else (total - half, half)
        crops.append((begin, end - extra[axis]))
    return crops


def _full_transpose(tensor: Any, weights: Any, strides: list[int], dilations: list[int]) -> Any:
    filters = _moved(weights, [*range(2, weights.shape.rank), 1, 0])
    filters = dilated(filters, dilations)
    flat = len(strides) == 1
    if flat:
        tensor, filters, strides = tensor[:, None], filters[None], [1, *strides]
    batch, *sizes, _ = dimensions(tensor)
    spatial = [
        (size - 1) * stride + span for size, stride, span in zip(sizes, strides, filters.shape[:-2], strict=True)
    ]
    shape = stack([batch, *spatial, filters.shape[-2]])
    transpose = tf.nn.conv2d_transpose if len(strides) == 2 else tf.nn.conv3d_transpose
    result = transpose(tensor, filters, shape, strides, "VALID")
    return tf.squeeze(result, 1) if flat else result
