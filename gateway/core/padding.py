"""Rows of several lengths made one length, for models whose answers do not depend on what fills them up."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.core.tensors import Tensor


@dataclass(slots=True, frozen=True)
class Padding:
    """For models whose inputs are [rows, length] and say themselves which elements count.

    Attributes:
        fills: the element that fills up, for each input; these are all inputs of the model.
        left: it stands before the row, not behind it.
    """

    fills: Mapping[str, int]
    left: bool = False

    def likeness(self, inputs: Sequence[Tensor]) -> Hashable | None:
        """What inputs must have in common to be joined; None for those that only the model itself should judge."""
        lengths = {tensor.shape[1:] for tensor in inputs}
        if len(lengths) != 1 or {tensor.name for tensor in inputs} != self.fills.keys():
            return None
        (rest,) = lengths
        return (_group(rest[0]), *((tensor.name, tensor.datatype) for tensor in inputs)) if len(rest) == 1 else None

    def filled(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """``tensors``, one input of several requests that are alike, all as long as the longest of them."""
        if len({tensor.shape[1:] for tensor in tensors}) == 1:
            return tensors
        length = max(tensor.shape[1] for tensor in tensors)
        return [self._filled(tensor, length) for tensor in tensors]

    def _filled(self, tensor: Tensor, length: int) -> Tensor:
        rows, own = tensor.shape
        before = tensor.to_numpy()
        after = np.full((rows, length), self.fills[tensor.name], before.dtype)
        start = length - own if self.left else 0
        after[:, start : start + own] = before
        return Tensor.from_numpy(tensor.name, after)


def _group(length: int) -> int:
    """The longest row that rows of ``length`` are joined with: at most a third of any is filling."""
    step = max(1, (1 << max(0, length - 1).bit_length()) // 4)
    return -(-length // step) * step
