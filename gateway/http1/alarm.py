"""One timer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls something later, unless it is set anew or stopped before."""

    __slots__ = ("_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether it was set, and not stopped since."""
        return self._timer is not None

    def set(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call ``callback`` in so many seconds."""
        self.stop()
        self._timer = self._loop.call_later(seconds, callback)

    def stop(self) -> None:
        """Call nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
