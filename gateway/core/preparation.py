"""What the gateway needs in order to take pictures and texts for a model's tensors, and to answer in classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from gateway.core.tensors import Tensor

Takes = Literal["tensors", "pictures", "texts"]
# The most probable classes of each row of a model's outputs: probability by label, best first.
Classify = Callable[[Sequence[Tensor]], list[Mapping[str, float]]]


class Prepare(Protocol):
    """Makes a model's inputs, with a batch dimension, of the bytes of pictures or texts.

    Raises:
        InvalidRequest: an element cannot be used; says which one.
    """

    async def __call__(self, elements: Sequence[bytes], /) -> tuple[Tensor, ...]: ...
