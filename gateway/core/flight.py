"""One call that several wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from gateway.core.errors import GatewayError, own_copy

T = TypeVar("T")


class Flight(Generic[T]):
    """Runs ``call`` in a task of its own while anybody waits for it, so that nobody depends on whoever began it.

    ``over`` is called at its end, whichever it is.
    """

    __slots__ = ("_over", "_task", "_waiting")

    def __init__(self, call: Coroutine[Any, Any, T], over: Callable[[], None]) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self._over = over
        self._task = asyncio.create_task(call)
        self._task.add_done_callback(self._end)

    @property
    def landed(self) -> bool:
        """Whether the call has come to its end."""
        return self._task.done()

    @property
    def joinable(self) -> bool:
        """Whether it is under way, and nobody has called it off."""
        return not (self._task.done() or self._task.cancelling())

    async def wait(self) -> T:
        """What the call gives or raises; the last one who gives up waiting calls it off."""
        if not self._task.done():
            await self._landing()
        error = None if self._task.cancelled() else self._task.exception()
        if isinstance(error, GatewayError):
            raise own_copy(error)
        return self._task.result()

    async def _landing(self) -> None:
        landing = asyncio.get_running_loop().create_future()
        self._waiting.add(landing)
        try:
            await landing
        finally:
            self._waiting.remove(landing)
            if not self._waiting:
                self._task.cancel()  # nothing happens to one that has landed

    def _end(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # seen, though nobody may be left to hear of it
        self._over()
        for landing in self._waiting:
            if not landing.done():
                landing.set_result(None)
