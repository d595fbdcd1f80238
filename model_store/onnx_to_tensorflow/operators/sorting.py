"""Order, extremes and what is unique."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions


@operator("ArgMax", "ArgMin")
def _arg_extreme(node: Node) -> Any:
    function = tf.argmax if node.op_type == "ArgMax" else tf.argmin
    tensor, axis = node[0], node.attribute("axis", 0) % node[0].shape.rank
    if node.attribute("select_last_index", 0):
        last = tf.cast(dimensions(tensor)[axis], tf.int64) - 1
        found = last - function(tf.reverse(tensor, [axis]), axis, tf.int64)
    else:
        found = function(tensor, axis, tf.int64)
    return tf.expand_dims(found, axis) if node.attribute("keepdims", 1) else found


@operator("TopK")
def _top_k(node: Node) -> Any:
    tensor, axis = node[0], node.attribute("axis", -1) % node[0].shape.rank
    known = node.constant(1)
    count = node.attribute("k", tf.cast(tf.reshape(node[1], []), tf.int32) if known is None else int(known.item()))
    order = [*(other for other in range(tensor.shape.rank) if other != axis), axis]
    back = [order.index(other) for other in range(tensor.shape.rank)]
    moved = tf.transpose(tensor, order)
    if node.attribute("largest", 1):
        found, indices = tf.math.top_k(moved, count)
    else:
        # Of equal elements the first comes first, as in top_k; a sort of integers' negatives would overflow.
        indices = tf.argsort(moved, axis=-1, stable=True)[..., :count]
        found = tf.gather(moved, indices, batch_dims=tensor.shape.rank - 1)
    return [tf.transpose(found, back), tf.transpose(tf.cast(indices, tf.int64), back)]


@operator("Unique")
def _unique(node: Node) -> Any:
    tensor, axis = node[0], node.attribute("axis")
    if axis is None:
        tensor, axis = tf.reshape(tensor, [-1]), 0
    found, inverse, counts = tf.raw_ops.UniqueWithCountsV2(x=tensor, axis=[axis], out_idx=tf.int64)
    size = tf.cast(tf.shape(counts)[0], tf.int64)
    first = tf.math.unsorted_segment_min(tf.range(tf.size(inverse, tf.int64)), inverse, size)
    if node.attribute("sorted", 1):
        order = _lexicographic(found, axis)
        rank_of = tf.math.invert_permutation(order)
        found, first, counts = (tf.gather(part, order, axis=a) for part, a in ((found, axis), (first, 0), (counts, 0)))
        inverse = tf.cast(tf.gather(rank_of, inverse), tf.int64)
    return [found, first, inverse, counts]


def _lexicographic(tensor: Any, axis: int) -> Any:
    """The order of the slices along ``axis``: stable sorts, from the least important element to the first."""
    rank = tensor.shape.rank
    order = [axis % rank, *(other for other in range(rank) if other != axis % rank)]
    rows = tf.reshape(tf.transpose(tensor, order), [tf.shape(tensor)[axis], -1])
    width = tf.shape(rows)[1]

    def refine(step: Any, order: Any) -> Any:
        column = tf.gather(rows[:, width - 1 - step], order)
        return step + 1, tf.gather(order, tf.argsort(column, stable=True))

    start = tf.constant(0), tf.range(tf.shape(rows)[0])
    shapes = tf.TensorShape([]), tf.TensorShape([None])
    return tf.while_loop(lambda step, _: step < width, refine, start, shape_invariants=shapes)[1]
