"""How far another host's clock is from ours, by exchanging the time with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

_EXCHANGES = 15


class Offset(NamedTuple):
    """The other clock minus ours, and the greatest error of that; both in ns.

    It only lays the time axes upon each other: each latency is the difference of two stamps of one clock.
    """

    offset: int
    error: int

    def there(self, here: int) -> int:
        """Our time ``here`` as the other clock shows it."""
        return here + self.offset


async def clock_offset(ask: Callable[[], Awaitable[int]], now: Callable[[], int]) -> Offset:
    """Ask for the other's time some times; the quickest answer tells most.

    It was read between question and answer, so the middle of these is wrong by half of the time between at most.
    """
    offsets = []
    for _ in range(_EXCHANGES):
        asked = now()
        there = await ask()
        answered = now()
        offsets.append(Offset(there - (asked + answered) // 2, (answered - asked + 1) // 2))
    return min(offsets, key=lambda offset: offset.error)
