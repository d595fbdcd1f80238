"""What the gateway needs in order to take pictures and texts in place of a model's tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.core.tensors import Tensor


class Prepare(Protocol):
    """Makes a model's inputs, with a batch dimension, of the bytes of pictures or texts.

    Raises:
        InvalidRequest: an element cannot be used; says which one.
    """

    async def __call__(self, elements: Sequence[bytes], /) -> tuple[Tensor, ...]: ...
