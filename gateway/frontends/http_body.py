"""The rest of a large body in one go, where ASGI has a message for every 64 KiB.

For each of those uvicorn copies twice, wakes the application, and stops and starts reading. A body of a known length is
read to where it stays; the pieces of another one are joined at the end.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.core.arrival import Arrival
from gateway.core.errors import PayloadTooLarge
from gateway.core.limits import Limits
from gateway.frontends.asgi import ClientDisconnected

# So many bytes at least are worth it to read them past the parser.
_LARGE = 16 * 1024


class BodyRest:
    """What is still to come of the body of ``cycle``'s request; made for ``REST`` among the extensions of its scope.

    ``expect`` is told where the bytes that come next belong; the cycle has its body when they have come.
    """

    __slots__ = ("_cycle", "_expect", "_limits", "_over", "_pieces", "_size")

    _limits: Limits

    def __init__(self, cycle: RequestResponseCycle, expect: Callable[[Arrival], object]) -> None:
        self._cycle = weakref.proxy(cycle)  # which holds the scope, and so this
        self._expect = expect
        self._pieces: list[bytes] | None = None  # while somebody waits for them
        self._size = 0
        self._over = ""  # which limit they are over

    def takes(self, piece: bytes) -> bool:
        """Keep a ``piece`` that has arrived; False when nobody waits for it."""
        if self._pieces is None:
            return False
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limits.body_bytes:
            self._over = f"{self._limits.body_bytes} bytes"
        elif len(self._pieces) > self._limits.body_chunks:
            self._over = f"{self._limits.body_chunks} chunks"
        if self._over:
            self._cycle.message_event.set()
        return True

    async def __call__(self, start: bytes, length: int | None, limits: Limits) -> bytes:
        """The whole body, which begins with ``start`` and has ``length`` bytes; None where nobody has said so.

        Raises:
            PayloadTooLarge: over the limit of bytes or of pieces, where the length is not known.
            ClientDisconnected: the client left in the middle.
        """
        begin = start + self._cycle.body
        self._cycle.body.clear()
        if length is not None and length - len(begin) >= _LARGE:
            arrival = Arrival(length, begin)
            self._expect(arrival)
            await self._come()
            return arrival.whole()
        return await self._joined(begin, limits)

    async def _joined(self, begin: bytes, limits: Limits) -> bytes:
        pieces = self._pieces = []
        self._limits = limits
        self.takes(begin)
        try:
            await self._come()
        finally:
            self._pieces = None
        if self._over:
            raise PayloadTooLarge(f"body: over the limit of {self._over}")
        return b"".join(pieces)

    async def _come(self) -> None:
        """Wait for the end of the body, or until there is too much of it."""
        cycle = self._cycle
        cycle.flow.resume_reading()
        while cycle.more_body and not self._over:
            if cycle.disconnected:
                raise ClientDisconnected
            cycle.message_event.clear()
            await cycle.message_event.wait()
