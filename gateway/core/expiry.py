"""``asyncio.timeout_at`` at half of its cost, for what every request passes."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Expiry:
    """Cancels what the running task does inside of ``with`` at ``when``, on the clock of its ``loop``.

    Raises TimeoutError then, unless somebody else cancels the task too.
    """

    __slots__ = ("_cancelling", "_expired", "_loop", "_task", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        self._loop = loop
        self._when = when
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("no task is running")
        self._task, self._cancelling = task, task.cancelling()
        self._timer = self._loop.call_at(self._when, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
