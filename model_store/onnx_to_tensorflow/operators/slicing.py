"""Parts of tensors by position, and what is added around them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, dimensions, elements, is_shape, shape_from, stack, to_last

_INT32_MAX = 2**31 - 1


@operator("Slice")
def _slice(node: Node) -> Any:
    tensor = node[0]
    starts, ends = node.setting("starts", 1), node.setting("ends", 2)
    axes, steps = node.fixed("axes", 3), node.setting("steps", 4)
    count = len(starts) if isinstance(starts, list) else starts.shape[0]
    axes = range(count) if axes is None else axes
    constant = all(isinstance(part, list | None) for part in (starts, ends, steps))
    if constant and is_shape(tensor):
        part = slice(starts[0], ends[0], steps[0] if steps else 1)
        return shape_from(elements(tensor)[part], tensor.dtype)
    slices = [slice(None)] * tensor.shape.rank
    for position, axis in enumerate(axes):
        step = 1 if steps is None else steps[position]
        slices[axis] = _part(starts[position], ends[position], step, dimensions(tensor)[axis])
    return tensor[tuple(slices)]


def _part(start: Any, end: Any, step: Any, size: Any) -> slice:
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        # ONNX marks "up to the end" by the largest or smallest number there is; Python's None says the same.
        start, end = (min(max(number, -_INT32_MAX), _INT32_MAX) for number in (start, end))
        if step > 0:
            return slice(start or None, None if end == _INT32_MAX else end, step)
        start = min(start, size - 1) if isinstance(size, int) else start
        return slice(start, end if end > -_INT32_MAX else None, step)
    size, start, end = (tf.cast(number, tf.int64) for number in (size, start, end))
    forwards = tf.cast(step, tf.int64) > 0
    start = tf.where(start < 0, start + size, start)
    end = tf.where(end < 0, end + size, end)
    start = tf.where(forwards, tf.clip_by_value(start, 0, size), tf.clip_by_value(start, 0, size - 1))
    # A slice that runs backwards to the very first element ends before it, which a number cannot say:
    # StridedSlice takes -size - 1 for that.
    end = tf.where(forwards, tf.clip_by_value(end, 0, size), tf.where(end < 0, -size - 1, tf.minimum(end, size)))
    return slice(tf.cast(start, tf.int32), tf.cast(end, tf.int32), tf.cast(step, tf.int32))


@operator("Split")
def _split(node: Node) -> Any:
    value = node.value(0)
    rank = value.rank
    axis = node.attribute("axis", 0) % rank
    last = value.channels_last
    tensor = value.tensor(channels_last=last)
    axis = to_last(rank).index(axis) if last else axis
    sizes = node.setting("split", 1)
    if sizes is None:
        count, size = node.attribute("num_outputs", node.outputs), dimensions(tensor)[axis]
        each = -(-size // count)
        sizes = stack([each] * (count - 1) + [size - each * (count - 1)])
    parts = tf.split(tensor, sizes, axis, num=node.outputs)
    return [Value(part, channels_last=last) for part in parts]


@operator("Pad")
def _pad(node: Node) -> Any:
    value, mode = node.value(0), node.attribute("mode", "constant")
    rank = value.rank
    pads = node.attribute("pads")
    pads = elements(node[1]) if pads is None else pads
    axes = node.fixed("axes", 3, range(rank))
    widths = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        widths[axis] = (pads[position], pads[position + len(axes)])
    if value.channels_last:
        widths = [widths[axis] for axis in to_last(rank)]
    tensor = value.tensor(channels_last=value.channels_last)
    fill = node.attribute("value", 0.0) if node.version < 11 else node.get(2)
    return Value(_padded(tensor, widths, mode, fill), channels_last=value.channels_last)


def _padded(tensor: Any, widths: list[Any], mode: str, fill: Any) -> Any:
    known = all(isinstance(width, int) for pair in widths for width in pair)
    if known and min(min(pair) for pair in widths) < 0:
        cut = [slice(max(-begin, 0), min(end, 0) or None) for begin, end in widths]
        widths = [(max(begin, 0), max(end, 0)) for begin, end in widths]
        tensor = tensor[tuple(cut)]
    if mode in ("wrap", "edge", "reflect"):
        for axis, (begin, end) in enumerate(widths):
            if not (isinstance(begin, int) and isinstance(end, int) and begin == end == 0):
                tensor = _padded_by_copies(tensor, axis, begin, end, mode)
        return tensor
    paddings = stack([width for pair in widths for width in pair])
    paddings = tf.reshape(paddings, [len(widths), 2])
    fill = tf.zeros([], tensor.dtype) if fill is None else tf.reshape(tf.cast(fill, tensor.dtype), [])
    return tf.pad(tensor, paddings, constant_values=fill)


def _padded_by_copies(tensor: Any, axis: int, begin: Any, end: Any, mode: str) -> Any:
    size = tf.cast(dimensions(tensor)[axis], tf.int32)
    indices = tf.range(-tf.cast(begin, tf.int32), size + tf.cast(end, tf.int32))
    if mode == "wrap":
        indices = tf.math.floormod(indices, size)
    elif mode == "edge":
        indices = tf.clip_by_value(indices, 0, size - 1)
    else:  # as between two mirrors
        period = tf.maximum(2 * (size - 1), 1)
        indices = tf.math.floormod(indices, period)
        indices = tf.minimum(indices, period - indices)
    result = tf.gather(tensor, indices, axis=axis)
    if isinstance(begin, int) and isinstance(end, int) and tensor.shape[axis] is not None:
        shape = tensor.shape.as_list()
        shape[axis] += begin + end
        return tf.ensure_shape(result, shape)
    return result


@operator("Trilu")
def _trilu(node: Node) -> Any:
    tensor = node[0]
    diagonal = tf.cast(tf.reshape(node.get(1, tf.constant(0)), []), tf.int32)
    rows, columns = dimensions(tensor)[-2:]
    distance = tf.range(columns)[None, :] - tf.range(rows)[:, None]
    keep = distance >= diagonal if node.attribute("upper", 1) else distance <= diagonal
    return tf.where(keep, tensor, tf.zeros([], tensor.dtype))


@operator("ReverseSequence")
def _reverse_sequence(node: Node) -> Any:
    return tf.reverse_sequence(
        node[0], node[1], seq_axis=node.attribute("time_axis", 0), batch_axis=node.attribute("batch_axis", 1)
    )


@operator("Compress")
def _compress(node: Node) -> Any:
    tensor, axis = node[0], node.attribute("axis")
    if axis is None:
        tensor, axis = tf.reshape(tensor, [-1]), 0
    kept = tf.reshape(tf.where(node[1]), [-1])
    return tf.gather(tensor, kept, axis=axis)
