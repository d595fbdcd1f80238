"""Requests that wait for a lane to their backend: the most urgent in front, of equals the one that came first."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Generic, TypeVar

_ARRIVAL = count()


@dataclass(slots=True, eq=False, kw_only=True)
class Waiting:
    """One that waits.

    Attributes:
        likeness: what it must have in common with another one to leave together with it; None: it leaves alone.
        rows: its size in rows.
        nbytes: its size in bytes.
        level: the lower, the more urgent.
        arrival: its place among those that are as urgent.
    """

    likeness: Hashable | None
    rows: int
    nbytes: int
    level: float = math.inf
    arrival: int = field(default_factory=_ARRIVAL.__next__)


W = TypeVar("W", bound=Waiting)


class BatchQueue(Generic[W]):
    """Keeps what is alike together, so that a batch is taken without looking at anything that is not in it."""

    def __init__(self) -> None:
        # Likeness → level → those that wait, in order of arrival. What leaves alone is like nothing but itself.
        self._groups: dict[Hashable, dict[float, dict[W, None]]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, waiting: W) -> None:
        """Let it wait behind those in the queue that are as urgent."""
        self._groups.setdefault(_group(waiting), {}).setdefault(waiting.level, {})[waiting] = None
        self._size += 1

    def discard(self, waiting: W) -> None:
        """It waits no longer, if it did."""
        levels = self._groups.get(_group(waiting), {})
        level = levels.get(waiting.level, {})
        if waiting not in level:
            return
        del level[waiting]
        self._size -= 1
        if not level:
            del levels[waiting.level]
        if not levels:
            del self._groups[_group(waiting)]

    def take(self, *, rows: int, nbytes: int) -> list[W]:
        """The most urgent one and, in order, those like it, as long as they stay within ``rows`` and ``nbytes``.

        The first one is taken whatever its size. Empty when nobody waits.
        """
        if not self._size:
            return []
        group = min(self._groups.values(), key=_urgency)
        batch: list[W] = []
        for waiting in chain.from_iterable(group[level] for level in sorted(group)):
            rows, nbytes = rows - waiting.rows, nbytes - waiting.nbytes
            if batch and (rows < 0 or nbytes < 0):
                break
            batch.append(waiting)
        for waiting in batch:
            self.discard(waiting)
        return batch


def _group(waiting: Waiting) -> Hashable:
    return waiting if waiting.likeness is None else waiting.likeness


def _urgency(group: Mapping[float, Mapping[W, None]]) -> tuple[float, int]:
    level = min(group)
    return level, next(iter(group[level])).arrival
