"""Resize, one dimension after the other.

In every mode and with every way to count coordinates a result is a sum over source positions along each dimension: one
gather for nearest neighbours, a product with a matrix of weights for the others, computed as the specification has it.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, dimensions, elements, to_last


@operator("Upsample")
def _upsample(node: Node) -> Any:
    scales = node.fixed("scales", 1)
    return _resized(node, scales, None, range(len(scales)), "asymmetric", "floor")


@operator("Resize")
def _resize(node: Node) -> Any:
    rank = node.value(0).rank
    axes = [axis % rank for axis in node.attribute("axes", range(rank))]
    if node.version < 11:
        return _resized(node, node.fixed("scales", 1), None, axes, "asymmetric", "floor")
    mode = node.attribute("coordinate_transformation_mode", "half_pixel")
    nearest = node.attribute("nearest_mode", "round_prefer_floor")
    if node.has(3) and node[3].shape != [0]:
        return _resized(node, None, elements(node[3]), axes, mode, nearest)
    return _resized(node, node.fixed("scales", 2), None, axes, mode, nearest)


def _resized(node: Node, scales: Any, sizes: Any, axes: Any, transformation: str, nearest: str) -> Any:
    value = node.value(0)
    rank = value.rank
    last = value.channels_last or rank == 4
    tensor = value.tensor(channels_last=last)
    order = to_last(rank) if last else list(range(rank))
    own = dimensions(tensor)
    if sizes is not None and node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        scales = _kept_ratio(node, [own[order.index(axis)] for axis in axes], sizes)
    regions = tf.unstack(node[1]) if transformation == "tf_crop_and_resize" else None
    for position, axis in enumerate(axes):
        place = order.index(axis)
        size = own[place]
        scale = None if scales is None else scales[position]
        if isinstance(scale, float) and scale == 1.0 and regions is None:
            continue
        region = None if regions is None else (regions[position], regions[position + len(axes)])
        if sizes is not None and scales is None:
            wanted = sizes[position]
            if isinstance(wanted, int) and isinstance(size, int) and wanted == size and region is None:
                continue
            scale = tf.cast(wanted, tf.float32) / tf.cast(size, tf.float32)
        elif sizes is not None:
            wanted = tf.cast(tf.floor(scale * tf.cast(size, tf.float32) + 0.5), tf.int32)
        elif isinstance(size, int) and isinstance(scale, float):
            wanted = int(size * scale)
        else:
            wanted = tf.cast(tf.floor(tf.cast(size, tf.float32) * scale), tf.int32)
        tensor = _along(node, tensor, place, wanted, scale, region, transformation, nearest)
    return Value(tensor, channels_last=last)


def _kept_ratio(node: Node, own: list[Any], sizes: list[Any]) -> list[Any]:
    ratios = [tf.cast(wanted, tf.float32) / tf.cast(size, tf.float32) for size, wanted in zip(own, sizes, strict=True)]
    policy = node.attribute("keep_aspect_ratio_policy")
    chosen = tf.reduce_min(tf.stack(ratios)) if policy == "not_larger" else tf.reduce_max(tf.stack(ratios))
    return [chosen] * len(ratios)


def _along(
    node: Node, tensor: Any, axis: int, wanted: Any, scale: Any, region: Any, transformation: str, nearest: str
) -> Any:
    size = tf.cast(tensor.shape[axis] or tf.shape(tensor)[axis], tf.float32)
    wanted_size = tf.cast(wanted, tf.float32)
    where = _source(tf.range(wanted_size), size, wanted_size, tf.cast(scale, tf.float32), region, transformation)
    mode = node.attribute("mode", "nearest")
    limit = tf.cast(size, tf.int32) - 1
    if mode == "nearest":
        index = tf.clip_by_value(tf.cast(_NEAREST[nearest](where), tf.int32), 0, limit)
        result = tf.gather(tensor, index, axis=axis)
    else:
        result = _weighted(node, tensor, axis, where, scale, limit)
    if region is not None:
        outside = (where < 0) | (where > size - 1)
        outside = tf.reshape(outside, [-1, *[1] * (tensor.shape.rank - axis - 1)])
        result = tf.where(outside, tf.cast(node.attribute("extrapolation_value", 0.0), result.dtype), result)
    shape = tensor.shape.as_list()
    shape[axis] = wanted if isinstance(wanted, int) else None
    return tf.ensure_shape(result, shape)


_NEAREST = {
    "round_prefer_floor": lambda x: tf.math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: tf.floor(x + 0.5),
    "floor": tf.floor,
    "ceil": tf.math.ceil,
}


def _source(target: Any, size: Any, wanted: Any, scale: Any, region: Any, transformation: str) -> Any:
    """Where in the source a position of the result lies."""
    if transformation == "asymmetric":
        return target / scale
    if transformation == "align_corners":
        return tf.where(wanted > 1, target * (size - 1) / tf.maximum(wanted - 1, 1), tf.zeros_like(target))
    if transformation == "pytorch_half_pixel":
        return tf.where(wanted > 1, (target + 0.5) / scale - 0.5, tf.zeros_like(target))
    if transformation == "half_pixel_symmetric":
        adjustment = wanted / (scale * size)
        return size / 2 * (1 - adjustment) + (target + 0.5) / scale - 0.5
    if transformation == "tf_crop_and_resize":
        start, end = (tf.cast(part, tf.float32) for part in region)
        several = start * (size - 1) + target * (end - start) * (size - 1) / tf.maximum(wanted - 1, 1)
        return tf.where(wanted > 1, several, tf.fill(tf.shape(target), 0.5 * (start + end) * (size - 1)))
    return (target + 0.5) / scale - 0.5


def _weighted(node: Node, tensor: Any, axis: int, where: Any, scale: Any, limit: Any) -> Any:
    antialias = node.attribute("antialias", 0)
    reach: Any = 2 if node.attribute("mode") == "cubic" else 1
    stretch = tf.minimum(tf.cast(scale, tf.float32), 1.0) if antialias else 1.0
    if antialias:  # shrinking widens the filter by as much as it shrinks
        reach = tf.cast(tf.math.ceil(reach / stretch), tf.int32)
    positions = tf.cast(tf.floor(where), tf.int32)[:, None] + tf.range(1 - reach, reach + 1)
    distance = tf.abs(tf.cast(positions, tf.float32) - where[:, None]) * stretch
    if node.attribute("mode") == "cubic":
        weights = _cubic(distance, node.attribute("cubic_coeff_a", -0.75))
    else:
        weights = tf.maximum(1 - distance, 0)
    if node.attribute("exclude_outside", 0):
        weights = tf.where((positions < 0) | (positions > limit), tf.zeros_like(weights), weights)
    weights /= tf.reduce_sum(weights, 1, keepdims=True)
    positions, wide = tf.clip_by_value(positions, 0, limit), tf.cast(tensor, tf.float32)
    blended = _blended_by_matrix if antialias else _blended
    return tf.cast(blended(wide, axis, positions, weights, limit), tensor.dtype)


def _blended(tensor: Any, axis: int, positions: Any, weights: Any, _: Any) -> Any:
    """The sum of the few neighbours of each position."""
    view = [-1, *[1] * (tensor.shape.rank - axis - 1)]
    parts = zip(tf.unstack(positions, axis=1), tf.unstack(weights, axis=1), strict=True)
    return tf.add_n([tf.gather(tensor, index, axis=axis) * tf.reshape(weight, view) for index, weight in parts])


def _blended_by_matrix(tensor: Any, axis: int, positions: Any, weights: Any, limit: Any) -> Any:
    """The same sum for as many neighbours as there may be."""
    matrix = tf.reduce_sum(tf.one_hot(positions, limit + 1) * weights[:, :, None], 1)
    moved = tf.tensordot(tensor, matrix, [[axis], [1]])
    rank = tensor.shape.rank
    return tf.transpose(moved, [*range(axis), rank - 1, *range(axis, rank - 1)])


def _cubic(distance: Any, a: float) -> Any:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return tf.where(distance <= 1, near, tf.where(distance < 2, far, tf.zeros_like(distance)))
