"""Branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions

Body = Callable[..., list[Any]]


@operator("If")
def _if(node: Node) -> Any:
    branches = node.attribute("then_branch"), node.attribute("else_branch")
    condition = node.constant(0)
    if condition is not None:
        return branches[0 if condition.item() else 1]()
    return tf.cond(tf.reshape(node[0], []), *branches)


@operator("Loop")
def _loop(node: Node) -> Any:
    body: Body = node.attribute("body")
    limit = tf.cast(tf.reshape(node.get(0, tf.constant(2**31 - 1)), []), tf.int64)
    condition = tf.reshape(node.get(1, tf.constant(True)), [])
    carried = node.all_from(2)
    # A carried tensor may change its size from one round to the next, but not its rank.
    shapes = [tf.TensorShape([None] * tensor.shape.rank) for tensor in carried]
    specs = [tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.bool), *_specs(carried, shapes)]
    rows = _given(body, specs)[1 + len(carried) :]
    arrays = [tf.TensorArray(spec.dtype, 0, dynamic_size=True, element_shape=spec.shape) for spec in rows]

    def step(count: Any, going: Any, state: list[Any], arrays: list[Any]) -> Any:
        going, *results = body(count, going, *state)
        return count + 1, tf.reshape(going, []), *_sorted_out(results, state, arrays, tf.cast(count, tf.int32))

    _, _, state, arrays = tf.while_loop(
        lambda count, going, *_: going & (count < limit),
        step,
        (tf.constant(0, tf.int64), condition, carried, arrays),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([]), shapes, [tf.TensorShape(None)] * len(arrays)),
    )
    return [*state, *(array.stack() for array in arrays)]


@operator("Scan")
def _scan(node: Node) -> Any:
    node.require(node.version >= 9, "its first version")
    body: Body = node.attribute("body")
    count = node.attribute("num_scan_inputs")
    tensors = node.all_from(0)
    carried = tensors[:-count]
    zeros = [0] * max(count, node.outputs)
    axes, directions = (node.attribute(f"scan_input_{what}", zeros) for what in ("axes", "directions"))
    scanned = [_to_front(*each) for each in zip(tensors[-count:], axes, directions, strict=False)]
    steps = dimensions(scanned[0])[0]
    specs = [*_specs(carried, [tensor.shape for tensor in carried]), *(_row(tensor) for tensor in scanned)]
    given = _given(body, specs)[len(carried) :]
    arrays = [tf.TensorArray(spec.dtype, steps, element_shape=spec.shape) for spec in given]

    def step(time: Any, state: list[Any], arrays: list[Any]) -> Any:
        return time + 1, *_sorted_out(body(*state, *(tensor[time] for tensor in scanned)), state, arrays, time)

    _, state, arrays = tf.while_loop(lambda time, *_: time < steps, step, (tf.constant(0), carried, arrays))
    axes, directions = (node.attribute(f"scan_output_{what}", zeros) for what in ("axes", "directions"))
    stacked = [
        tf.ensure_shape(array.stack(), [scanned[0].shape[0], *spec.shape])
        for array, spec in zip(arrays, given, strict=True)
    ]
    return [*state, *(_from_front(*each) for each in zip(stacked, axes, directions, strict=False))]


def _sorted_out(results: list[Any], state: list[Any], arrays: list[Any], time: Any) -> tuple[list[Any], list[Any]]:
    """A body's results: the next state, and the arrays with one row more."""
    after = [tf.ensure_shape(new, old.shape) for new, old in zip(results, state, strict=False)]
    rows = results[len(state) :]
    return after, [array.write(time, row) for array, row in zip(arrays, rows, strict=True)]


def _given(body: Body, specs: list[Any]) -> list[Any]:
    """The types and shapes of what a body gives, found by tracing it once."""

    @tf.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]
    def once(*tensors: Any) -> list[Any]:
        return body(*tensors)

    outputs: list[Any] = once.get_concrete_function().outputs
    return outputs


def _specs(tensors: Sequence[Any], shapes: Sequence[Any]) -> list[Any]:
    return [tf.TensorSpec(shape, tensor.dtype) for tensor, shape in zip(tensors, shapes, strict=True)]


def _row(tensor: Any) -> Any:
    return tf.TensorSpec(tensor.shape[1:], tensor.dtype)


def _to_front(tensor: Any, axis: int, backwards: int) -> Any:
    rank = tensor.shape.rank
    order = [axis % rank, *(other for other in range(rank) if other != axis % rank)]
    front = tf.transpose(tensor, order) if axis else tensor
    return tf.reverse(front, [0]) if backwards else front


def _from_front(tensor: Any, axis: int, backwards: int) -> Any:
    rank = tensor.shape.rank
    axis %= rank
    tensor = tf.reverse(tensor, [0]) if backwards else tensor
    return tf.transpose(tensor, [*range(1, axis + 1), 0, *range(axis + 1, rank)]) if axis else tensor
