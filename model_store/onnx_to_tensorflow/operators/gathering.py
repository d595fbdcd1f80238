"""Elements by index."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions, elements, is_shape, shape_from, stack


@operator("Gather")
def _gather(node: Node) -> Any:
    tensor, axis = node[0], node.attribute("axis", 0)
    indices = node.constant(1)
    if indices is None:
        return tf.gather(tensor, wrapped(node[1], dimensions(tensor)[axis]), axis=axis)
    axis %= tensor.shape.rank
    if is_shape(tensor) and indices.ndim < 2:
        known = elements(tensor)
        if indices.ndim == 1:
            return shape_from([known[index] for index in indices.tolist()], tensor.dtype)
        size = known[indices.item()]
        return np.array(size, tensor.dtype.as_numpy_dtype) if isinstance(size, int) else tf.cast(size, tensor.dtype)
    if indices.ndim == 0:
        return tensor[(slice(None),) * axis + (int(indices),)]
    if indices.min(initial=0) >= 0:
        return tf.gather(tensor, indices, axis=axis)
    return tf.gather(tensor, wrapped(node[1], dimensions(tensor)[axis]), axis=axis)


def wrapped(indices: Any, size: Any) -> Any:
    """Indices from the start, for ones that may count from the end."""
    if indices.dtype not in (tf.int32, tf.int64):
        indices = tf.cast(indices, tf.int64)
    return tf.where(indices < 0, indices + tf.cast(size, indices.dtype), indices)


@operator("GatherElements")
def _gather_elements(node: Node) -> Any:
    tensor, axis = node[0], node.attribute("axis", 0) % node[0].shape.rank
    indices = wrapped(node[1], dimensions(tensor)[axis])
    return tf.gather_nd(tensor, along_axis(indices, axis))


def along_axis(indices: Any, axis: int) -> Any:
    """Full coordinates of elements that differ from their own position in one axis only."""
    sizes = dimensions(indices)
    own = tf.meshgrid(*[tf.range(tf.cast(size, indices.dtype)) for size in sizes], indexing="ij")
    return tf.stack([indices if dimension == axis else grid for dimension, grid in enumerate(own)], axis=-1)


@operator("GatherND")
def _gather_nd(node: Node) -> Any:
    tensor, batch_dims = node[0], node.attribute("batch_dims", 0)
    width = node[1].shape[-1]
    node.require(width is not None, "an unknown number of indices")
    sizes = dimensions(tensor)[batch_dims : batch_dims + width]
    indices = wrapped(node[1], stack(sizes))
    return tf.gather_nd(tensor, indices, batch_dims=batch_dims)


@operator("OneHot")
def _one_hot(node: Node) -> Any:
    depth = tf.cast(tf.reshape(node[1], []), tf.int32)
    known = node.constant(1)
    depth = depth if known is None else int(known.item())
    off, on = tf.unstack(node[2])
    indices = node[0] if node[0].dtype in (tf.int32, tf.int64) else tf.cast(node[0], tf.int64)
    indices = wrapped(indices, depth)
    axis = node.attribute("axis", -1) % (indices.shape.rank + 1)
    return tf.one_hot(indices, depth, on, off, axis=axis, dtype=node[2].dtype)


@operator("NonZero")
def _non_zero(node: Node) -> Any:
    tensor = node[0]
    return tf.transpose(tf.where(tensor if tensor.dtype == tf.bool else tensor != tf.zeros([], tensor.dtype)))


@operator("ArrayFeatureExtractor", domain="ai.onnx.ml")
def _array_feature_extractor(node: Node) -> Any:
    picked = tf.gather(node[0], tf.reshape(node[1], [-1]), axis=-1)
    return picked if picked.shape.rank > 1 else picked[None]
