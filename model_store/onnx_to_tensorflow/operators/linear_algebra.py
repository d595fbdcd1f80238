"""Products of matrices."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions, stack


@operator("MatMul")
def _matmul(node: Node) -> Any:
    return matmul(node[0], node[1])


def matmul(left: Any, right: Any) -> Any:
    """The product as numpy's matmul gives it."""
    dtype = left.dtype
    if dtype.is_integer and dtype not in (tf.int32, tf.int64):
        return tf.cast(matmul(tf.cast(left, tf.int64), tf.cast(right, tf.int64)), dtype)
    if right.shape.rank == 1:
        return tf.squeeze(matmul(left, right[:, None]), -1)
    if left.shape.rank == 1:
        return tf.squeeze(matmul(left[None], right), -2)
    if left.shape.rank > 2 and right.shape.rank == 2:
        # One large product instead of a broadcast, which would copy the weights for every row of the batch.
        *outer, depth = dimensions(left)
        product = tf.linalg.matmul(tf.reshape(left, stack([-1, depth])), right)
        return tf.reshape(product, stack([*outer, dimensions(right)[1]]))
    return tf.linalg.matmul(left, right)


@operator("Gemm")
def _gemm(node: Node) -> Any:
    left, right = node[0], node[1]
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    weights = node.constant(1)
    transposed = bool(node.attribute("transB", 0))
    if weights is not None and transposed:
        right, transposed = tf.constant(weights.T.copy()), False
    product = tf.linalg.matmul(left, right, transpose_a=bool(node.attribute("transA", 0)), transpose_b=transposed)
    if alpha != 1:
        product = _scaled(product, alpha)
    if not node.has(2):
        return product
    bias = node[2] if beta == 1 else _scaled(node[2], beta)
    if bias.dtype.is_floating and product.shape[1] and bias.shape in ([product.shape[1]], [1, product.shape[1]]):
        return tf.nn.bias_add(product, tf.reshape(bias, [-1]))  # is fused into the product
    return product + bias


def _scaled(tensor: Any, factor: float) -> Any:
    if tensor.dtype.is_floating:
        return tensor * factor
    return tf.cast(tf.cast(tensor, tf.float64) * factor, tensor.dtype)


@operator("Einsum")
def _einsum(node: Node) -> Any:
    return tf.einsum(node.attribute("equation").replace(" ", ""), *node.all_from(0))


@operator("Det")
def _det(node: Node) -> Any:
    return tf.linalg.det(node[0])
