"""Where the bytes of an HTTP connection go: to the parser, and those of a large body to where they stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from gateway.core.arrival import Arrival

# Read at once for the parser, in bytes. Of what comes with a head it makes copies, so that it is no more.
READ_AT_ONCE = 64 * 1024


class Receiver(asyncio.BufferedProtocol):
    """Reads for ``protocol``, a parser of HTTP, through ``scratch``, which all connections of one event loop share.

    ``arrived`` is called when all is there that was expected.
    """

    def __init__(self, protocol: asyncio.Protocol, scratch: memoryview, arrived: Callable[[], object]) -> None:
        self._protocol = protocol
        self._scratch = scratch
        self._arrived = arrived
        self._arrival: Arrival | None = None

    def expect(self, arrival: Arrival) -> None:
        """Have the next bytes written where they belong, past the parser."""
        self._arrival = arrival

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
            self._arrived()

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
