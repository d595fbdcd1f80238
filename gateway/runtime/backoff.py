"""When to restart a server that died: soon at first, ever later while it keeps dying."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
HEALTHY_SECONDS = 60.0


class RestartBackoff:
    """Exponential delays, 0.5 s doubling to 30 s, that start over once a run stayed healthy for 60 s.

    ``clock`` gives seconds on any monotonic scale.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = FIRST_SECONDS
        self._ready_at: float | None = None

    def became_ready(self) -> None:
        """Note that the server answers from now on."""
        self._ready_at = self._clock()

    def died(self) -> float:
        """Note that the server died; returns the seconds to wait before it is started again."""
        if self._ready_at is not None and self._clock() - self._ready_at >= HEALTHY_SECONDS:
            self._next = FIRST_SECONDS
        self._ready_at = None
        delay = self._next
        self._next = min(delay * 2, LONGEST_SECONDS)
        return delay
