"""Requests under way, so that what they use can be given up once the last of them has its answer."""

from __future__ import annotations

import asyncio


class InFlight:
    """A count that can be waited for.

    Attributes:
        count: how many are under way.
    """

    __slots__ = ("_left", "count")

    def __init__(self) -> None:
        self.count = 0
        self._left: asyncio.Event | None = None

    def enter(self) -> None:
        """One more is under way."""
        self.count += 1

    def leave(self) -> None:
        """One of them is over."""
        self.count -= 1
        if self._left is not None and not self.count:
            self._left.set()

    async def idle(self) -> None:
        """Return when none is under way."""
        while self.count:
            self._left = self._left or asyncio.Event()
            self._left.clear()
            await self._left.wait()
