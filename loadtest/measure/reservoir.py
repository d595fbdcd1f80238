"""A fair sample of a stream whose length nobody knows, in bounded memory."""

from __future__ import annotations

import math
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Reservoir(Generic[T]):
    """Keeps ``size`` items of a stream, each with the same chance (Li's algorithm L).

    The distance to the next one to keep is drawn beforehand, so that the others cost one subtraction::

        if reservoir.wants_next():
            reservoir.keep(item)
    """

    def __init__(self, size: int, seed: int) -> None:
        self.items: list[T] = []
        self._size = size
        self._random = Random(seed)  # noqa: S311
        self._threshold = 1.0
        self._skip = 0

    def wants_next(self) -> bool:
        """Whether the next item of the stream is to be kept; to be asked once for each."""
        self._skip -= 1
        return self._skip < 0

    def keep(self, item: T) -> None:
        """Take ``item`` in, in place of one that is drawn when all places are taken."""
        if len(self.items) < self._size:
            self.items.append(item)
        else:
            self.items[self._random.randrange(self._size)] = item
        if len(self.items) == self._size:
            self._threshold *= math.exp(self._log_uniform() / self._size)
            self._skip = int(self._log_uniform() / math.log1p(-self._threshold))
        else:
            self._skip = 0

    def _log_uniform(self) -> float:
        return math.log(self._random.random() or 0.5)  # 0 has no logarithm
