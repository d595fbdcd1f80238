"""How late the event loop runs what is due: what the tester's own machine adds to every time it measures."""

from __future__ import annotations

import numpy as np

from loadtest.clock import NS, Clock
from loadtest.statistics.quantiles import percentile

_EVERY = NS // 100


class LoopLag:
    """Wakes a hundred times a second, on a ``clock`` of its own, and keeps how late that was."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lags: list[int] = []
        self._running = False
        self._due = 0

    def start(self) -> None:
        """Begin anew."""
        self._lags = []
        self._running = True
        self._arm(self._clock.now() + _EVERY)

    def stop(self) -> tuple[float, float]:
        """End; the 99th percentile and the greatest of the lags in seconds, 0 when there was none."""
        self._running = False
        ordered = np.sort(np.array(self._lags or [0], dtype=np.int64))
        return percentile(ordered, 0.99) / NS, float(ordered[-1]) / NS

    def _arm(self, due: int) -> None:
        self._due = due
        self._clock.call_at(due, self._woken)

    def _woken(self) -> None:
        if not self._running:
            return
        now = self._clock.now()
        self._lags.append(now - self._due)
        self._arm(max(self._due + _EVERY, now))
