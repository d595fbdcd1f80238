"""How late the event loop runs what is due: every request waits as long, whatever it asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# Ten times a second costs nothing that can be measured, and sees whatever blocks the loop for long.
_EVERY = 0.1


class LoopLag:
    """Wakes every 100 ms and tells ``record`` by how many seconds that was late.

    The loop's timers count in milliseconds, so that one is no sign of anything.
    """

    def __init__(self, record: Callable[[float], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._record = record
        # Not the loop's own: uvloop reads its clock before it runs what is due, and that is part of what is measured.
        self._clock = clock
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop."""
        self._due = self._clock() + _EVERY
        self._timer = asyncio.get_running_loop().call_later(_EVERY, self._woken)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _woken(self) -> None:
        self._record(max(0.0, self._clock() - self._due))
        self.start()
