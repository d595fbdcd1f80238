"""Writing elements by index."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.operators.gathering import along_axis, wrapped
from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions, stack

_WRITES = {
    "none": tf.tensor_scatter_nd_update,
    "add": tf.tensor_scatter_nd_add,
    "max": tf.tensor_scatter_nd_max,
    "min": tf.tensor_scatter_nd_min,
}


@operator("ScatterND")
def _scatter_nd(node: Node) -> Any:
    width = node[1].shape[-1]
    node.require(width is not None, "an unknown number of indices")
    indices = wrapped(node[1], stack(dimensions(node[0])[:width]))
    return _written(node, indices)


@operator("ScatterElements", "Scatter")
def _scatter_elements(node: Node) -> Any:
    axis = node.attribute("axis", 0) % node[0].shape.rank
    indices = along_axis(wrapped(node[1], dimensions(node[0])[axis]), axis)
    return _written(node, indices)


def _written(node: Node, indices: Any) -> Any:
    tensor, updates, reduction = node[0], node[2], node.attribute("reduction", "none")
    if reduction == "mul":
        return _multiplied(tensor, indices, updates)
    return _WRITES[reduction](tensor, indices, updates)


def _multiplied(tensor: Any, indices: Any, updates: Any) -> Any:
    """TensorFlow has no scattered product of tensors: one write after the other."""
    width = indices.shape[-1]
    indices = tf.reshape(indices, [-1, width])
    updates = tf.reshape(updates, tf.concat([tf.shape(indices)[:1], tf.shape(tensor)[width:]], 0))

    def write(step: Any, result: Any) -> Any:
        where = indices[step : step + 1]
        product = tf.gather_nd(result, where) * updates[step : step + 1]
        return step + 1, tf.tensor_scatter_nd_update(result, where, product)

    count = tf.shape(indices)[0]
    return tf.while_loop(lambda step, _: step < count, write, (tf.constant(0), tensor))[1]


@operator("TensorScatter")
def _tensor_scatter(node: Node) -> Any:
    """The step of a key-value cache: writes along one axis, from where each sequence stands."""
    cache, update = node[0], node[1]
    axis = node.attribute("axis", -2) % cache.shape.rank
    size = tf.cast(dimensions(cache)[axis], tf.int64)
    starts = node.get(2, tf.zeros([dimensions(cache)[0]], tf.int64))
    shape = dimensions(update)
    positions = tf.range(tf.cast(shape[axis], tf.int64))
    view = [1] * cache.shape.rank
    positions = tf.reshape(positions, [*view[:axis], -1, *view[axis + 1 :]]) + tf.reshape(starts, [-1, *view[1:]])
    if node.attribute("mode", "linear") == "circular":
        positions %= size
    indices = along_axis(tf.broadcast_to(positions, stack(shape)), axis)
    return tf.tensor_scatter_nd_update(cache, indices, update)
