"""Elementwise numbers."""

from __future__ import annotations

import functools
import operator as python
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator


def widened(function: Callable[..., Any], *tensors: Any) -> Any:
    """``function`` of integers for which TensorFlow lacks a kernel, through the widest integers of that sign."""
    dtype = tensors[0].dtype
    if not dtype.is_integer or dtype in (tf.int32, tf.int64):
        return function(*tensors)
    wide = tf.int64 if dtype.size < 8 else tf.uint64
    return tf.cast(function(*[tf.cast(tensor, wide) for tensor in tensors]), dtype)


def _unary(function: Callable[[Any], Any]) -> Callable[[Node], Any]:
    return lambda node: function(node[0])


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Node], Any]:
    return lambda node: function(node[0], node[1])


for _name, _function in {
    "Ceil": tf.math.ceil,
    "Floor": tf.math.floor,
    "Round": tf.round,
    "Sqrt": tf.sqrt,
    "Exp": tf.exp,
    "Log": tf.math.log,
    "Reciprocal": tf.math.reciprocal,
    "Erf": tf.math.erf,
    "Sin": tf.sin,
    "Cos": tf.cos,
    "Tan": tf.tan,
    "Asin": tf.asin,
    "Acos": tf.acos,
    "Atan": tf.atan,
    "Sinh": tf.sinh,
    "Cosh": tf.cosh,
    "Tanh": tf.tanh,
    "Asinh": tf.asinh,
    "Acosh": tf.acosh,
    "Atanh": tf.atanh,
}.items():
    operator(_name, elementwise=True)(_unary(_function))

for _name, _operation in {"Add": python.add, "Sub": python.sub, "Mul": python.mul}.items():
    operator(_name, elementwise=True)(_binary(_operation))


@operator("Abs", elementwise=True)
def _abs(node: Node) -> Any:
    return node[0] if node[0].dtype.is_unsigned else widened(tf.abs, node[0])


@operator("Neg", elementwise=True)
def _neg(node: Node) -> Any:
    return widened(tf.negative, node[0])


@operator("Sign", elementwise=True)
def _sign(node: Node) -> Any:
    return widened(tf.sign, node[0])


@operator("Div", elementwise=True)
def _div(node: Node) -> Any:
    left, right = node[0], node[1]
    return widened(tf.truncatediv, left, right) if left.dtype.is_integer else left / right


@operator("Mod", elementwise=True)
def _mod(node: Node) -> Any:
    left, right = node[0], node[1]
    if not node.attribute("fmod", 0):
        return widened(tf.math.floormod, left, right)
    if left.dtype.is_integer:
        return widened(lambda a, b: a - tf.truncatediv(a, b) * b, left, right)
    wide = tf.float64 if left.dtype == tf.float64 else tf.float32
    return tf.cast(tf.raw_ops.TruncateMod(x=tf.cast(left, wide), y=tf.cast(right, wide)), left.dtype)


@operator("Pow", elementwise=True)
def _pow(node: Node) -> Any:
    base, exponent = node[0], node[1]
    if base.dtype.is_integer and exponent.dtype.is_floating:
        return tf.cast(tf.pow(tf.cast(base, exponent.dtype), exponent), base.dtype)
    return widened(tf.pow, base, tf.cast(exponent, base.dtype))


@operator("Sum", elementwise=True)
def _sum(node: Node) -> Any:
    return functools.reduce(python.add, node.all_from(0))


@operator("Mean", elementwise=True)
def _mean(node: Node) -> Any:
    return functools.reduce(python.add, node.all_from(0)) / tf.cast(len(node.values), node[0].dtype)


@operator("Max", elementwise=True)
def _max(node: Node) -> Any:
    return functools.reduce(functools.partial(widened, tf.maximum), node.all_from(0))


@operator("Min", elementwise=True)
def _min(node: Node) -> Any:
    return functools.reduce(functools.partial(widened, tf.minimum), node.all_from(0))


@operator("Clip", elementwise=True)
def _clip(node: Node) -> Any:
    tensor = node[0]
    low, high = (_bound(node, name, index) for index, name in enumerate(("min", "max"), start=1))
    # TensorFlow fuses these two into the convolution before them.
    if _is(low, 0) and _is(high, 6):
        return tf.nn.relu6(tensor)
    if _is(low, 0) and (high is None or _is(high, np.inf)):
        return tf.nn.relu(tensor)
    if low is not None:
        tensor = widened(tf.maximum, tensor, tf.cast(low, tensor.dtype))
    if high is not None:
        tensor = widened(tf.minimum, tensor, tf.cast(high, tensor.dtype))
    return tensor


def _bound(node: Node, name: str, index: int) -> Any:
    if name in node.attributes:
        return np.asarray(node.attributes[name], np.float32)
    constant = node.constant(index)
    return node.get(index) if constant is None else constant


def _is(bound: Any, number: float) -> bool:
    return isinstance(bound, np.ndarray) and bound.dtype.kind == "f" and bound.size == 1 and bound.item() == number
