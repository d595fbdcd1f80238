"""What was read once need not be read again: a client sends the same head with every tensor of the same shape."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.core.datatypes import Datatype
from gateway.core.tensors import Tensor, check_data

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Bytes; a head that is longer hardly comes twice.
LONGEST = 1024
_MOST = 1024  # heads, with what they mean some 2 MiB
# That their bytes have the right length is not all there is to be checked.
_LOOKED_INTO = (Datatype.BOOL, Datatype.BYTES)


class KnownHeads(Generic[K, T]):
    """What heads mean; the oldest gives way to a new one."""

    def __init__(self) -> None:
        self._meanings: dict[K, T] = {}
        self.get = self._meanings.get

    def keep(self, head: K, meaning: T) -> None:
        """``head`` means the same whenever it comes again."""
        if len(self._meanings) >= _MOST:
            del self._meanings[next(iter(self._meanings))]
        self._meanings[head] = meaning


@dataclass(slots=True, frozen=True)
class TensorHeads:
    """Of tensors that lie behind each other: name, datatype, shape, and from where to where their bytes are."""

    each: Sequence[tuple[str, Datatype, tuple[int, ...], int, int]]
    end: int

    @classmethod
    def of(cls, tensors: Sequence[Tensor], starts: Sequence[int] | None = None) -> TensorHeads:
        """The heads of ``tensors``, which are right; without ``starts`` there is nothing between them."""
        each: list[tuple[str, Datatype, tuple[int, ...], int, int]] = []
        end = 0
        for index, tensor in enumerate(tensors):
            start = end if starts is None else starts[index]
            end = start + tensor.nbytes
            each.append((tensor.name, tensor.datatype, tensor.shape, start, end))
        return cls(each, end)

    def over(self, data: memoryview, kind: str) -> tuple[Tensor, ...]:
        """The tensors whose bytes are in ``data``, which is ``end`` long; ``kind`` is what errors call them.

        Raises:
            InvalidRequest: as ``check_data``.
        """
        tensors: list[Tensor] = []
        for index, (name, datatype, shape, start, end) in enumerate(self.each):
            tensor = Tensor(name, datatype, shape, data[start:end])
            if datatype in _LOOKED_INTO:
                check_data(tensor, f"{kind}[{index}] {name!r}")
            tensors.append(tensor)
        return tuple(tensors)
