"""Reductions and running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import Value, to_last


def _or(tensor: Any, axes: Any, keep: bool) -> Any:
    return (tf.reduce_any if tensor.dtype == tf.bool else tf.reduce_max)(tensor, axes, keep)


def _and(tensor: Any, axes: Any, keep: bool) -> Any:
    return (tf.reduce_all if tensor.dtype == tf.bool else tf.reduce_min)(tensor, axes, keep)


_REDUCTIONS: dict[str, Callable[[Any, Any, bool], Any]] = {
    "ReduceSum": tf.reduce_sum,
    "ReduceMean": tf.reduce_mean,
    "ReduceMax": _or,
    "ReduceMin": _and,
    "ReduceProd": tf.reduce_prod,
    "ReduceL1": lambda tensor, axes, keep: tf.reduce_sum(tf.abs(tensor), axes, keep),
    "ReduceL2": lambda tensor, axes, keep: tf.sqrt(tf.reduce_sum(tensor * tensor, axes, keep)),
    "ReduceSumSquare": lambda tensor, axes, keep: tf.reduce_sum(tensor * tensor, axes, keep),
    "ReduceLogSum": lambda tensor, axes, keep: tf.math.log(tf.reduce_sum(tensor, axes, keep)),
    "ReduceLogSumExp": tf.reduce_logsumexp,
}


@operator(*_REDUCTIONS)
def _reduce(node: Node) -> Any:
    value, keep = node.value(0), bool(node.attribute("keepdims", 1))
    axes = node.setting("axes", 1)
    reduction = _REDUCTIONS[node.op_type]
    if axes is None or (isinstance(axes, list) and not axes):
        axes = [] if node.attribute("noop_with_empty_axes", 0) else None
    if isinstance(axes, list) and value.channels_last:
        order = to_last(value.rank)
        axes = [axis % value.rank for axis in axes]
        spatial = sorted(axes) == list(range(2, value.rank))
        if keep or spatial:  # without its spatial dimensions a tensor has one layout only
            reduced = reduction(value.tensor(channels_last=True), [order.index(axis) for axis in axes], keep)
            return Value(reduced, channels_last=keep)
    return reduction(node[0], axes, keep)


@operator("CumSum", "CumProd")
def _cumulate(node: Node) -> Any:
    function = tf.cumsum if node.op_type == "CumSum" else tf.math.cumprod
    exclusive, reverse = bool(node.attribute("exclusive", 0)), bool(node.attribute("reverse", 0))
    return function(node[0], tf.reshape(node[1], []), exclusive, reverse)
