"""Sliding windows: how much padding an operator asks for, in terms that TensorFlow has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node
from model_store.onnx_to_tensorflow.values import dimensions, stack


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution or pooling over channels-last tensors."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[tuple[Any, Any]]
    """Before and after each spatial dimension; scalar tensors where they follow from an unknown size."""
    excess: list[Any]
    """What ``ceil_mode`` adds at the end of each dimension for a last window that is cut off."""

    @classmethod
    def of(cls, node: Node, tensor: Any, kernel: list[int]) -> Windows:
        """What the node's attributes ask for, over a channels-last tensor."""
        ones = [1] * len(kernel)
        strides = list(node.attribute("strides", ones))
        dilations = list(node.attribute("dilations", ones))
        spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
        sizes = dimensions(tensor)[1:-1]
        pads = _pads(node, sizes, spans, strides)
        excess: list[Any] = [0] * len(kernel)
        if node.attribute("ceil_mode", 0) and node.attribute("auto_pad", "NOTSET") == "NOTSET":
            excess = [
                _excess(size, span, stride, pad)
                for size, span, stride, pad in zip(sizes, spans, strides, pads, strict=True)
            ]
        return cls(kernel, strides, dilations, pads, excess)

    @property
    def spans(self) -> list[int]:
        """The sizes of the windows with their gaps."""
        return [(size - 1) * dilation + 1 for size, dilation in zip(self.kernel, self.dilations, strict=True)]

    @property
    def unpadded(self) -> bool:
        """Whether the windows stay inside the tensor."""
        return not self._any(self.excess) and not any(self._any(pad) for pad in self.pads)

    def same(self, tensor: Any) -> bool:
        """Whether this is TensorFlow's SAME padding."""
        if self._any(self.excess):
            return False
        for size, span, stride, pad in zip(tensor.shape[1:-1], self.spans, self.strides, self.pads, strict=True):
            if stride > 1 and size is None:
                return False
            total = max(span - 1, 0) if stride == 1 else max((-(-size // stride) - 1) * stride + span - size, 0)
            if not all(isinstance(width, int) for width in pad) or pad != (total // 2, total - total // 2):
                return False
        return True

    def padded(self, tensor: Any, fill: Any = 0, *, excess: bool = True) -> Any:
        """The tensor with its padding around it."""
        if self.unpadded:
            return tensor
        ends = self.excess if excess else [0] * len(self.excess)
        widths = [(begin, end + more) for (begin, end), more in zip(self.pads, ends, strict=True)]
        widths = [(0, 0), *widths, (0, 0)]
        paddings = tf.reshape(stack([width for pair in widths for width in pair]), [len(widths), 2])
        return tf.pad(tensor, paddings, constant_values=tf.cast(fill, tensor.dtype))

    def gathered(self, tensor: Any) -> Any:
        """The content of each window of a padded tensor, all in the last dimension: [n, …, channels, kernel]."""
        tensor = tf.expand_dims(tensor, -1)
        for index, (kernel, stride, dilation, span) in enumerate(
            zip(self.kernel, self.strides, self.dilations, self.spans, strict=True)
        ):
            axis = index + 1
            starts = tf.range(0, dimensions(tensor)[axis] - span + 1, stride)
            parts = tf.gather(tensor, starts[:, None] + tf.range(kernel)[None, :] * dilation, axis=axis)
            rank = parts.shape.rank
            order = [*(a for a in range(rank) if a != axis + 1), axis + 1]
            parts = tf.transpose(parts, order)
            *outer, inner, own = dimensions(parts)
            tensor = tf.reshape(parts, stack([*outer, inner * own]))
        return tensor

    @staticmethod
    def _any(widths: Any) -> bool:
        return any(not isinstance(width, int) or width != 0 for width in widths)


def _pads(node: Node, sizes: list[Any], spans: list[int], strides: list[int]) -> list[tuple[Any, Any]]:
    kind = node.attribute("auto_pad", "NOTSET")
    if kind == "VALID":
        return [(0, 0)] * len(spans)
    if kind == "NOTSET":
        pads = list(node.attribute("pads", [0] * (2 * len(spans))))
        return list(zip(pads[: len(spans)], pads[len(spans) :], strict=True))
    pairs = []
    for size, span, stride in zip(sizes, spans, strides, strict=True):
        total = at_least(0, span - 1 if stride == 1 else (-(-size // stride) - 1) * stride + span - size)
        half = total // 2
        pairs.append((half, total - half) if kind == "SAME_UPPER" else (total - half, half))
    return pairs


def _excess(size: Any, span: int, stride: int, pad: tuple[Any, Any]) -> Any:
    inner = size + pad[0] + pad[1] - span
    steps = -(-inner // stride)
    # A window that would start in the padding behind the tensor does not count.
    beyond = steps * stride >= size + pad[0]
    steps = steps - (int(beyond) if isinstance(beyond, bool) else tf.cast(beyond, tf.int32))
    return at_least(0, steps * stride - inner)


def at_least(least: int, size: Any) -> Any:
    """The larger one, of numbers or scalar tensors."""
    return max(least, size) if isinstance(size, int) else tf.maximum(least, size)
