"""Whether what a client sends is read at present."""

from __future__ import annotations

import asyncio


class Reading:
    """Stops and goes on; to say either twice is the same as to say it once, which transports do not agree on."""

    __slots__ = ("_paused", "_transport")

    def __init__(self, transport: asyncio.ReadTransport) -> None:
        self._transport = transport
        self._paused = False

    def pause(self) -> None:
        """Read no more, so that the client has to wait."""
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again, unless the connection closes."""
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
