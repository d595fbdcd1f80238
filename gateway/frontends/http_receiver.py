"""Where the bytes of an HTTP connection go: to the parser, and those of a large body to where they stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from gateway.core.arrival import Arrival

# Read at once for the parser, in bytes. Of what comes with a head it makes copies, so that it is no more.
READ_AT_ONCE = 64 * 1024


class Receiver(asyncio.BufferedProtocol):
    """Reads for ``protocol``, a parser of HTTP, through ``scratch``, which all connections of one event loop share."""

    def __init__(self, protocol: asyncio.Protocol, scratch: memoryview) -> None:
        self._protocol = protocol
        self._scratch = scratch
        self._arrival: Arrival | None = None
        self._whole: Callable[[], object]

    def expect(self, arrival: Arrival, whole: Callable[[], object]) -> None:
        """Have the next bytes written where they belong, past the parser, and call ``whole`` after the last one."""
        self._arrival, self._whole = arrival, whole

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._scratch if self._arrival is None else self._arrival.room

    def buffer_updated(self, nbytes: int) -> None:
        arrival = self._arrival
        if arrival is None:
            self._protocol.data_received(cast("bytes", self._scratch[:nbytes]))
            return
        arrival.arrived(nbytes)
        if not arrival.missing:
            self._arrival = None
            self._whole()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
