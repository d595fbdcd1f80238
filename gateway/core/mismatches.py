"""Requests that two servers answered differently, kept to debug with: the latest ones, as far as memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.core.differences import Difference
from gateway.core.tensors import Tensor, total_bytes

_OVERHEAD = 2_000  # bytes that one takes beside its tensors' data


@dataclass(slots=True, frozen=True)
class Mismatch:
    """One of them.

    Attributes:
        model, version: who answered the client.
        target: the name of what was asked besides.
        at: when, in seconds since 1970.
        backends: who answered the client, and who answered the copy.
        request_id, trace_id: of the client's request.
        inputs: of both.
        first: what the client got.
        second: what the copy got.
        differences: of the two, output by output.
        number: unique in the process; set when it is kept.
    """

    model: str
    version: str
    target: str
    at: float
    backends: tuple[str, str]
    request_id: str
    trace_id: str
    inputs: tuple[Tensor, ...]
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]
    differences: Sequence[Difference]
    number: int = 0

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return _OVERHEAD + total_bytes(self.inputs) + total_bytes(self.first) + total_bytes(self.second)

    def detached(self) -> Mismatch:
        """The same with copies of the data: a view may hold the message of a whole batch in memory."""
        inputs, first, second = (_copied(tensors) for tensors in (self.inputs, self.first, self.second))
        return replace(self, inputs=inputs, first=first, second=second)


class Mismatches:
    """At most ``limit`` bytes of them, over all models; the newest push out the oldest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[int, Mismatch] = {}
        self._number = 0
        self.nbytes = 0

    def __iter__(self) -> Iterator[Mismatch]:
        """Oldest first."""
        return iter(list(self._kept.values()))

    def get(self, number: int) -> Mismatch | None:
        """The one of that number, if it is still kept."""
        return self._kept.get(number)

    def keep(self, mismatch: Mismatch, most: int) -> None:
        """Add ``mismatch``, unless it is too large; ``most`` are kept of its model, version and target."""
        if mismatch.nbytes > self._limit or most < 1:
            return
        same = [each for each in self._kept.values() if _place(each) == _place(mismatch)]
        for old in same[: len(same) - most + 1]:
            self._forget(old)
        while self.nbytes + mismatch.nbytes > self._limit:
            self._forget(next(iter(self._kept.values())))
        self._number += 1
        self._kept[self._number] = replace(mismatch, number=self._number)
        self.nbytes += mismatch.nbytes

    def _forget(self, mismatch: Mismatch) -> None:
        del self._kept[mismatch.number]
        self.nbytes -= mismatch.nbytes


def _place(mismatch: Mismatch) -> tuple[str, str, str]:
    return mismatch.model, mismatch.version, mismatch.target


def _copied(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(replace(tensor, data=bytes(tensor.data)) for tensor in tensors)
