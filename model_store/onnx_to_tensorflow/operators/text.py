"""Strings."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator


@operator("StringConcat", elementwise=True)
def _string_concat(node: Node) -> Any:
    return tf.strings.join(_broadcast(node[0], node[1]))


def _broadcast(left: Any, right: Any) -> list[Any]:
    shape = tf.broadcast_dynamic_shape(tf.shape(left), tf.shape(right))
    return [tf.broadcast_to(left, shape), tf.broadcast_to(right, shape)]


@operator("RegexFullMatch", elementwise=True)
def _regex_full_match(node: Node) -> Any:
    return tf.strings.regex_full_match(node[0], node.attribute("pattern"))
