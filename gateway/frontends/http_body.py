"""The rest of a large body in one go, where ASGI has a message for every 64 KiB.

For each of those uvicorn copies twice, wakes the application, and stops and starts reading.
"""

from __future__ import annotations

import weakref

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.core.errors import PayloadTooLarge
from gateway.core.limits import Limits
from gateway.frontends.asgi import ClientDisconnected


class BodyRest:
    """What is still to come of the body of ``cycle``'s request; made for ``REST`` among the extensions of its scope."""

    __slots__ = ("_cycle", "_left", "_most", "_pieces")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = weakref.proxy(cycle)  # which holds the scope, and so this
        self._pieces: list[bytes] | None = None  # while somebody waits for them
        self._most = self._left = 0  # pieces, bytes

    def takes(self, piece: bytes) -> bool:
        """Keep a ``piece`` that has arrived; False when nobody waits for it."""
        if self._pieces is None:
            return False
        self._pieces.append(piece)
        self._left -= len(piece)
        if self._left < 0 or len(self._pieces) > self._most:
            self._cycle.message_event.set()
        return True

    async def __call__(self, start: bytes, limits: Limits) -> bytes:
        """The whole body, which begins with ``start``.

        Raises:
            PayloadTooLarge: over the limit of bytes or of pieces.
            ClientDisconnected: the client left in the middle.
        """
        cycle = self._cycle
        pieces = self._pieces = [start, bytes(cycle.body)]
        cycle.body.clear()
        self._left, self._most = limits.body_bytes - sum(map(len, pieces)), limits.body_chunks
        cycle.flow.resume_reading()
        try:
            while cycle.more_body and not cycle.disconnected and self._left >= 0 and len(pieces) <= self._most:
                cycle.message_event.clear()
                await cycle.message_event.wait()
        finally:
            self._pieces = None
        if self._left < 0:
            raise PayloadTooLarge(f"body: over the limit of {limits.body_bytes} bytes")
        if len(pieces) > self._most:
            raise PayloadTooLarge(f"body: over the limit of {limits.body_chunks} chunks")
        if cycle.more_body:
            raise ClientDisconnected
        return b"".join(pieces)
