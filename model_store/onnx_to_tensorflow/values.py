"""Values of a graph while it is translated."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.errors import UnsupportedOperators


class Value:
    """A constant, or a tensor whose channels stand first as ONNX has them or last as TensorFlow has them.

    TensorFlow's CPU convolutions exist for channels-last only. What a convolution gives stays so until an operator
    asks for the other layout; the copy is made then, and once.
    """

    def __init__(self, held: Any, *, channels_last: bool = False) -> None:
        """``held`` is a tensor, or a numpy array for a constant (in ONNX's layout)."""
        self._held = held
        self.channels_last = channels_last
        # A tensor made inside a branch or a loop's body is unknown outside of it: one copy for each graph.
        self._made: dict[tuple[Any, bool], Any] = {}

    @property
    def constant(self) -> Any:
        """The numpy array, when the value is known while tracing; otherwise None."""
        if isinstance(self._held, np.ndarray):
            return self._held
        return None if self.channels_last else tf.get_static_value(self._held)

    @property
    def folded(self) -> bool:
        """Whether the value is a constant already, without looking through the graph."""
        return isinstance(self._held, np.ndarray)

    @property
    def rank(self) -> int:
        """The number of dimensions.

        Raises:
            UnsupportedOperators: it depends on what the graph computes.
        """
        rank: int | None = self._rank
        if rank is None:
            raise UnsupportedOperators("tensors whose number of dimensions is not fixed")
        return rank

    @property
    def _rank(self) -> int | None:
        return self._held.ndim if self.folded else self._held.shape.rank  # type: ignore[no-any-return]

    def tensor(self, *, channels_last: bool = False) -> Any:
        """The tensor in the layout that is asked for."""
        if not self.folded and self.channels_last == channels_last:
            return self._held
        key = (None if tf.executing_eagerly() else tf.compat.v1.get_default_graph(), channels_last)
        if key not in self._made:
            self._made[key] = self._make(channels_last)
        return self._made[key]

    def fits_channels_last(self, rank: int) -> bool:
        """Whether the value can stand beside channels-last tensors of ``rank`` in an elementwise operator."""
        return (self.folded and self.rank <= rank) or self._rank in (0, rank)

    def beside_channels_last(self, rank: int) -> Any:
        """The tensor, as an elementwise operator takes it among channels-last tensors of ``rank``."""
        if self.rank == 0:
            return self.tensor()
        if self.folded:
            padded = self._held.reshape((1,) * (rank - self._held.ndim) + self._held.shape)
            return Value(padded).tensor(channels_last=True)
        return self.tensor(channels_last=True)

    def _make(self, channels_last: bool) -> Any:
        if self.folded:
            held = self._held.transpose(to_last(self.rank)) if channels_last else self._held
            return tf.constant(np.ascontiguousarray(held) if channels_last else held)
        return tf.transpose(self._held, to_last(self.rank) if channels_last else to_first(self.rank))


def to_last(rank: int) -> list[int]:
    """The permutation from channels-first to channels-last."""
    return [0, *range(2, rank), 1]


def to_first(rank: int) -> list[int]:
    """The permutation from channels-last to channels-first."""
    return [0, rank - 1, *range(1, rank - 1)]


def dimensions(tensor: Any) -> list[Any]:
    """Every dimension: a number when it is known while tracing, a scalar int32 tensor otherwise."""
    known = tensor.shape.as_list()
    if None not in known:
        return list(known)
    actual = tf.unstack(tf.shape(tensor))
    return [actual[axis] if size is None else size for axis, size in enumerate(known)]


def elements(tensor: Any) -> list[Any]:
    """The elements of a vector of sizes: numbers where they are known while tracing, scalar tensors otherwise.

    Looks through what exporters build shapes with, so that one unknown dimension does not hide the others.
    """
    known = tf.get_static_value(tensor)
    if known is not None:
        return [int(element) for element in known]
    if hasattr(tensor, "op"):
        kind, inputs = tensor.op.type, list(tensor.op.inputs)
        if kind == "Pack":
            return [_scalar(element) for element in inputs]
        if kind == "ConcatV2":
            return [element for part in inputs[:-1] for element in elements(part)]
        if kind in ("Cast", "Identity"):
            return [e if isinstance(e, int) else tf.cast(e, tensor.dtype) for e in elements(inputs[0])]
        if kind == "Shape":
            sizes = inputs[0].shape.as_list()
            return [tensor[axis] if size is None else size for axis, size in enumerate(sizes)]
    return list(tf.unstack(tensor))


def is_shape(tensor: Any) -> bool:
    """Whether the tensor looks like a vector of sizes: then it is worth to keep what is known of each."""
    return tensor.shape.rank == 1 and tensor.dtype.is_integer and (tensor.shape[0] or 9) <= 8


def shape_from(sizes: list[Any], dtype: Any) -> Any:
    """A vector of sizes, as a constant when all are known."""
    if all(isinstance(size, int) for size in sizes):
        return np.array(sizes, dtype.as_numpy_dtype)
    return stack(sizes, dtype)


def stack(sizes: list[Any], dtype: Any = tf.int32) -> Any:
    """A vector from numbers and scalar tensors."""
    if all(isinstance(size, int) for size in sizes):
        return tf.constant(sizes, dtype, shape=[len(sizes)])
    return tf.stack([tf.cast(size, dtype) for size in sizes])


def _scalar(tensor: Any) -> Any:
    known = tf.get_static_value(tensor)
    return tensor if known is None else int(known)
