"""Boxes and sampling grids."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions


@operator("NonMaxSuppression")
def _non_max_suppression(node: Node) -> Any:
    boxes, scores = node[0], node[1]
    most = tf.cast(tf.reshape(node.get(2, tf.constant(0)), []), tf.int32)
    overlap = tf.reshape(node.get(3, tf.constant(0.0)), [])
    least = tf.reshape(node.get(4, tf.constant(-float("inf"))), [])
    if node.attribute("center_point_box", 0):
        x, y, width, height = (boxes[..., part] for part in range(4))
        boxes = tf.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], -1)
    batch, classes, _ = dimensions(scores)
    selected = tf.TensorArray(tf.int64, 0, dynamic_size=True, infer_shape=False, element_shape=[None, 3])

    def step(index: Any, selected: Any) -> Any:
        image, category = index // classes, index % classes
        kept = tf.image.non_max_suppression(boxes[image], scores[image, category], most, overlap, least)
        kept = tf.cast(kept, tf.int64)
        prefix = tf.cast(tf.stack([image, category]), tf.int64)
        rows = tf.concat([tf.tile(prefix[None], [tf.size(kept), 1]), kept[:, None]], 1)
        return index + 1, selected.write(index, rows)

    _, selected = tf.while_loop(lambda index, _: index < batch * classes, step, (tf.constant(0), selected))
    return selected.concat()


@operator("GridSample")
def _grid_sample(node: Node) -> Any:
    tensor, grid = node.value(0).tensor(channels_last=True), node[1]
    mode = node.attribute("mode", "linear")
    node.require(tensor.shape.rank == 4 and mode in ("linear", "bilinear", "nearest"), f"{mode} sampling in that rank")
    sizes = [tf.cast(size, grid.dtype) for size in dimensions(tensor)[1:3]]
    places = [_place(node, grid[..., 1 - axis], size) for axis, size in enumerate(sizes)]
    if mode == "nearest":
        return _transposed(_pixel(node, tensor, [tf.round(place) for place in places]))
    total = 0
    low = [tf.floor(place) for place in places]
    for up in (0, 1):
        for right in (0, 1):
            corner = [low[0] + up, low[1] + right]
            weight = (1 - tf.abs(places[0] - corner[0])) * (1 - tf.abs(places[1] - corner[1]))
            total += _pixel(node, tensor, corner) * tf.cast(weight, tensor.dtype)[..., None]
    return _transposed(total)


def _transposed(tensor: Any) -> Any:
    return tf.transpose(tensor, [0, 3, 1, 2])


def _place(node: Node, coordinate: Any, size: Any) -> Any:
    """From -1 … 1 to pixels, folded back into the picture where the padding mode says so."""
    if node.attribute("align_corners", 0):
        place, low, high = (coordinate + 1) / 2 * (size - 1), tf.zeros_like(size), size - 1
    else:
        place, low, high = ((coordinate + 1) * size - 1) / 2, tf.zeros_like(size) - 0.5, size - 0.5
    if node.attribute("padding_mode", "zeros") == "reflection":
        span = high - low
        distance = tf.math.floormod(place - low, 2 * span)
        place = low + tf.minimum(distance, 2 * span - distance)
    return place


def _pixel(node: Node, tensor: Any, places: list[Any]) -> Any:
    rows, columns = (tf.cast(place, tf.int32) for place in places)
    height, width = dimensions(tensor)[1:3]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = tf.clip_by_value(rows, 0, height - 1), tf.clip_by_value(columns, 0, width - 1)
    pixels = tf.gather_nd(tensor, tf.stack([rows, columns], -1), batch_dims=1)
    if node.attribute("padding_mode", "zeros") == "zeros":
        return tf.where(inside[..., None], pixels, tf.zeros_like(pixels))
    return pixels
