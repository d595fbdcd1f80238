"""Ctrl-C and SIGTERM at moments of our choosing: a deployment is undone or finished, never torn in two.

The second one is taken at its word.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gateway.runtime.errors import RuntimeFailure


class Interrupt:
    """Remembers that somebody asked to stop."""

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None

    def check(self) -> None:
        """Return unless somebody asked to stop.

        Raises:
            RuntimeFailure: somebody did.
        """
        if self._signal is not None:
            raise RuntimeFailure(f"stopped by {self._signal.name}")

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = signal.Signals(number)


@contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Catch the signals that ask to stop, for as long as it lasts."""
    interrupt = Interrupt()
    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt._note) for number in caught}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
