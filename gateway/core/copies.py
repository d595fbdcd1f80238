"""Work that goes on after its request was answered, for nobody who waits: bounded, and over when the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Copies:
    """The tasks of all models, which hold at most ``limit`` bytes of requests and answers together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._closed = False
        self.held = 0  # bytes

    def __len__(self) -> int:
        return len(self._tasks)

    def has_room(self, nbytes: int) -> bool:
        """Whether one more may begin that holds ``nbytes``."""
        return not self._closed and self.held + nbytes <= self._limit

    def begin(self, work: Coroutine[Any, Any, T], nbytes: int) -> asyncio.Task[T]:
        """Run ``work``, which holds ``nbytes`` until its end; the caller has asked ``has_room``."""
        task = asyncio.create_task(work)
        self._tasks[task] = nbytes
        self.held += nbytes
        task.add_done_callback(self._end)
        return task

    async def close(self) -> None:
        """Begin no more, and return when those under way are cancelled."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self.held -= self._tasks.pop(task)
        if not task.cancelled():
            task.exception()  # seen, though nobody may wait for it
