"""Serialised messages that differ from one that was read in their raw contents and in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from gateway.codecs.known_heads import LONGEST, KnownHeads
from gateway.codecs.packed import varint
from gateway.core.tensors import Buffer

T = TypeVar("T")

# As much of a message as tells which one it may be, and less than comes before the first contents.
_BEGINNING = 16


@dataclass(slots=True, frozen=True)
class Layout:
    """What is around the raw contents of a message that ends with them: by where it begins."""

    around: Sequence[tuple[int, bytes]]

    @classmethod
    def of(cls, data: bytes, kind: Any, tag: bytes, contents: Sequence[Buffer]) -> Layout | None:
        """That of ``data``, a message of ``kind`` with all its ``contents`` in fields with ``tag``.

        None where they are not at its end, one behind the other.
        """
        sizes = [memoryview(content).nbytes for content in contents]
        heads = [tag + varint(size) for size in sizes]
        position = len(data) - sum(sizes) - sum(map(len, heads))
        if not _BEGINNING <= position <= LONGEST or not _is_whole(kind, data[:position]):
            return None
        heads[0] = data[:position] + heads[0]
        around: list[tuple[int, bytes]] = []
        position = 0
        for head, size in zip(heads, sizes, strict=True):
            around.append((position, head))
            position += len(head) + size
        layout = cls(around)
        return layout if layout.fits(data) else None

    @property
    def starts(self) -> list[int]:
        """Where the contents begin."""
        return [position + len(head) for position, head in self.around]

    def fits(self, data: bytes) -> bool:
        """Whether ``data``, which is as long, is the same but for the contents."""
        return all(data.startswith(head, position) for position, head in self.around)


class KnownMessages(Generic[T]):
    """What messages mean but for their raw contents; of those that are as long and begin alike the last one stays."""

    def __init__(self) -> None:
        self._heads: KnownHeads[tuple[int, bytes], tuple[Layout, T]] = KnownHeads()

    def get(self, data: bytes) -> T | None:
        """The meaning of ``data``, where one that differs in its contents only is known."""
        layout, meaning = self._heads.get((len(data), data[:_BEGINNING]), (None, None))
        return meaning if layout is not None and layout.fits(data) else None

    def keep(self, data: bytes, layout: Layout, meaning: T) -> None:
        """Whatever has the ``layout`` of ``data`` has its ``meaning``."""
        self._heads.keep((len(data), data[:_BEGINNING]), (layout, meaning))


def _is_whole(kind: Any, data: bytes) -> bool:
    """Whether ``data`` is a message by itself: then what follows it begins with a field."""
    try:
        kind.FromString(data)
    except DecodeError:
        return False
    return True
