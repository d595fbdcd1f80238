"""Requests that wait to be admitted: the most critical first, and of equals each client in turn.

Of a client's own requests the most urgent comes first (OIP's ``priority``), and of equals the one that came first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.core.criticality import Criticality


@dataclass(slots=True, eq=False, kw_only=True)
class Turn:
    """One that waits.

    Attributes:
        client: whose it is.
        criticality: how much it matters.
        level: the lower, the sooner among the client's own.
    """

    client: str
    criticality: Criticality
    level: float = math.inf


T = TypeVar("T", bound=Turn)


@dataclass(slots=True)
class _Line(Generic[T]):
    """What waits of one client: by level, in order of arrival. ``left`` are its turns before the next client's."""

    left: int
    levels: dict[float, dict[T, None]] = field(default_factory=dict)
    size: int = 0

    def remove(self, turn: T) -> None:
        level = self.levels[turn.level]
        del level[turn]
        self.size -= 1
        if not level:
            del self.levels[turn.level]


class FairQueue(Generic[T]):
    """``weight`` says how many turns a client has for one of a client of weight 1."""

    def __init__(self, weight: Callable[[str], int]) -> None:
        self._weight = weight
        # For each criticality, the lines by client; the first one's turn is next.
        self._lines: tuple[dict[str, _Line[T]], ...] = tuple({} for _ in Criticality)
        self._sizes = [0 for _ in Criticality]
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def ahead_of(self, criticality: Criticality) -> int:
        """How many wait that are at least as critical."""
        return sum(self._sizes[: criticality + 1])

    def turns_before(self, newcomer: Turn, enough: float) -> int:
        """How many would have their turn before ``newcomer``, which is not in the queue; counts no further than enough.

        Of another client of the same weight those that wait as long as all of the newcomer's own do.
        """
        count = sum(self._sizes[: newcomer.criticality])
        lines = self._lines[newcomer.criticality]
        own = lines.get(newcomer.client)
        before = sum(len(turns) for level, turns in own.levels.items() if level <= newcomer.level) if own else 0
        rounds = (before + 1) / self._weight(newcomer.client)
        count += before
        for client, line in lines.items():
            if count >= enough:
                break
            if line is not own:
                count += min(line.size, math.ceil(rounds * self._weight(client)))
        return count

    def add(self, turn: T) -> None:
        """Let it wait behind all of its client's that are as urgent."""
        lines = self._lines[turn.criticality]
        line = lines.get(turn.client)
        if line is None:
            line = lines[turn.client] = _Line(self._weight(turn.client))
        line.levels.setdefault(turn.level, {})[turn] = None
        line.size += 1
        self._sizes[turn.criticality] += 1
        self._size += 1

    def discard(self, turn: T) -> None:
        """It waits no longer, if it did."""
        lines = self._lines[turn.criticality]
        line = lines.get(turn.client)
        if line is None or turn not in line.levels.get(turn.level, ()):
            return
        line.remove(turn)
        self._sizes[turn.criticality] -= 1
        self._size -= 1
        if not line.size:
            del lines[turn.client]

    def take(self, least: Criticality) -> T | None:
        """The one whose turn it is among those that are at least as critical as ``least``; None where none is."""
        for lines in self._lines[: least + 1]:
            for client, line in lines.items():
                line.left -= 1
                turn = next(iter(line.levels[min(line.levels)]))
                self.discard(turn)
                if not line.left and line.size:
                    del lines[client]  # to the end
                    lines[client] = line
                    line.left = self._weight(client)
                return turn
        return None

    def victim(self, newcomer: Turn) -> T | None:
        """Who has to make room for ``newcomer``, which is not in the queue; None when it is the newcomer itself.

        It is the last one of the client with the most waiting, by weight, among the least critical ones.
        """
        least = max((each for each in Criticality if self._sizes[each]), default=Criticality.CRITICAL)
        if least < newcomer.criticality or not self._size:
            return None
        lines = self._lines[least]
        client = max(lines, key=lambda name: lines[name].size / self._weight(name))
        if least == newcomer.criticality:
            own = lines.get(newcomer.client)
            share = ((own.size if own else 0) + 1) / self._weight(newcomer.client)
            if lines[client].size / self._weight(client) <= share:
                return None
        levels = lines[client].levels
        return next(reversed(levels[max(levels)]))
