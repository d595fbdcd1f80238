"""Operators that look at a shape or change it, and leave the elements alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, dimensions, elements, shape_from, stack, to_first, to_last


@operator("Shape")
def _shape(node: Node) -> Any:
    sizes = _onnx_dimensions(node.value(0))
    sizes = sizes[node.attribute("start", 0) : node.attribute("end", len(sizes))]
    return shape_from(sizes, tf.int64)


@operator("Size")
def _size(node: Node) -> Any:
    sizes = _onnx_dimensions(node.value(0))
    if all(isinstance(size, int) for size in sizes):
        return np.array(math.prod(sizes), np.int64)
    return tf.size(node.value(0).tensor(channels_last=node.value(0).channels_last), tf.int64)


def _onnx_dimensions(value: Value) -> list[Any]:
    sizes = dimensions(value.tensor(channels_last=value.channels_last))
    return [sizes[axis] for axis in to_first(len(sizes))] if value.channels_last else sizes


@operator("Reshape")
def _reshape(node: Node) -> Any:
    tensor, shape = node[0], node.attribute("shape")
    shape = elements(node[1]) if shape is None else shape
    if node.attribute("allowzero", 0):
        return tf.reshape(tensor, stack(shape))
    sizes = dimensions(tensor)
    copied = [_copied(size, axis, sizes) for axis, size in enumerate(shape)]
    return tf.reshape(tensor, stack(copied))


def _copied(size: Any, axis: int, sizes: list[Any]) -> Any:
    """Zero stands for the input's own dimension."""
    if axis >= len(sizes) or (isinstance(size, int) and size != 0):
        return size
    if isinstance(size, int):
        return sizes[axis]
    return tf.where(size == 0, tf.cast(sizes[axis], size.dtype), size)


@operator("Flatten")
def _flatten(node: Node) -> Any:
    tensor, axis = node[0], node.attribute("axis", 1)
    axis += tensor.shape.rank if axis < 0 else 0
    known = tensor.shape.as_list()
    if None not in known[axis:]:
        return tf.reshape(tensor, [-1 if None in known[:axis] else math.prod(known[:axis]), math.prod(known[axis:])])
    if None not in known[:axis]:
        return tf.reshape(tensor, [math.prod(known[:axis]), -1])
    sizes = tf.shape(tensor)
    return tf.reshape(tensor, [tf.reduce_prod(sizes[:axis]), tf.reduce_prod(sizes[axis:])])


@operator("Squeeze")
def _squeeze(node: Node) -> Any:
    tensor, axes = node[0], _axes(node)
    if axes and tensor.shape.rank == 1:
        return tensor[0]  # TensorFlow's shape inference sees through this, not through Squeeze
    return tf.squeeze(tensor, axes)


@operator("Unsqueeze")
def _unsqueeze(node: Node) -> Any:
    tensor, axes = node[0], _axes(node)
    if tensor.shape.rank == 0 and len(axes) == 1:
        return tf.stack([tensor])  # here too
    rank = tensor.shape.rank + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        tensor = tf.expand_dims(tensor, axis)
    return tensor


def _axes(node: Node) -> list[int]:
    axes = node.fixed("axes", 1, [])
    return [axes] if isinstance(axes, int) else list(axes)


@operator("Transpose")
def _transpose(node: Node) -> Any:
    value = node.value(0)
    rank = value.rank
    order = list(node.attribute("perm", range(rank)[::-1]))
    if rank > 2 and not value.folded:
        # Between the two layouts nothing needs to move: only what the tensor counts as changes.
        if order == to_last(rank) and value.channels_last:
            return value.tensor(channels_last=True)
        if order == to_first(rank) and not value.channels_last:
            return Value(value.tensor(), channels_last=True)
    return tf.transpose(node[0], order)


@operator("Expand")
def _expand(node: Node) -> Any:
    tensor, wanted = node[0], elements(node[1])
    sizes = dimensions(tensor)
    rank = max(len(sizes), len(wanted))
    sizes, wanted = [1] * (rank - len(sizes)) + sizes, [1] * (rank - len(wanted)) + wanted
    return tf.broadcast_to(tensor, stack([_broadcast(a, b) for a, b in zip(sizes, wanted, strict=True)]))


def _broadcast(own: Any, wanted: Any) -> Any:
    if isinstance(own, int):
        return wanted if own == 1 else own
    if isinstance(wanted, int):
        return own if wanted == 1 else wanted
    return tf.where(tf.cast(wanted, tf.int32) == 1, own, tf.cast(wanted, tf.int32))


@operator("Concat")
def _concat(node: Node) -> Any:
    values = [node.value(index) for index in range(len(node.values))]
    axis = node.attribute("axis")
    rank = values[0].rank
    if any(value.channels_last for value in values):
        return Value(
            tf.concat([value.tensor(channels_last=True) for value in values], to_last(rank).index(axis % rank)),
            channels_last=True,
        )
    return tf.concat(node.all_from(0), axis)


@operator("Tile")
def _tile(node: Node) -> Any:
    return tf.tile(node[0], node[1])


@operator("DepthToSpace")
def _depth_to_space(node: Node) -> Any:
    tensor, block = node.value(0).tensor(channels_last=True), node.attribute("blocksize")
    if node.attribute("mode", "DCR") == "CRD":
        batch, height, width, channels = dimensions(tensor)
        parts = tf.reshape(tensor, stack([batch, height, width, channels // block**2, block, block]))
        parts = tf.transpose(parts, [0, 1, 4, 2, 5, 3])
        shape = stack([batch, height * block, width * block, channels // block**2])
        return Value(tf.reshape(parts, shape), channels_last=True)
    return Value(tf.nn.depth_to_space(tensor, block), channels_last=True)


@operator("SpaceToDepth")
def _space_to_depth(node: Node) -> Any:
    tensor = node.value(0).tensor(channels_last=True)
    block = node.attribute("blocksize")
    spread = tf.nn.space_to_depth(tensor, block)
    if node.attribute("mode", "DCR") == "CRD":
        *outer, channels = dimensions(spread)
        parts = tf.reshape(spread, stack([*outer, block * block, channels // block**2]))
        spread = tf.reshape(tf.transpose(parts, [0, 1, 2, 4, 3]), stack([*outer, channels]))
    return Value(spread, channels_last=True)
