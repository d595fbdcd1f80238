"""Conversions between element types."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.dtypes import tf_dtype
from model_store.onnx_to_tensorflow.registry import Node, operator


@operator("Cast", elementwise=True)
def _cast(node: Node) -> Any:
    return cast(node[0], tf_dtype(node.attribute("to")))


@operator("CastLike", elementwise=True)
def _cast_like(node: Node) -> Any:
    return cast(node[0], node[1].dtype)


def cast(tensor: Any, dtype: Any) -> Any:
    """A cast as ONNX does it, to and from strings too."""
    if tensor.dtype == dtype:
        return tensor
    if dtype == tf.string:
        return _to_string(tensor)
    if tensor.dtype == tf.string:
        return _from_string(tensor, dtype)
    if dtype == tf.bool:
        return tf.not_equal(tensor, tf.zeros([], tensor.dtype))
    return tf.cast(tensor, dtype)


def _to_string(tensor: Any) -> Any:
    if not tensor.dtype.is_floating:
        return tf.strings.as_string(tensor)
    # ONNX Runtime writes eight significant digits.
    return tf.strings.as_string(tf.cast(tensor, tf.float32), precision=8, shortest=True)


def _from_string(tensor: Any, dtype: Any) -> Any:
    if dtype in (tf.float32, tf.float64, tf.int32, tf.int64):
        return tf.strings.to_number(tensor, dtype)
    return tf.cast(tf.strings.to_number(tensor, tf.float32 if dtype.is_floating else tf.int64), dtype)
