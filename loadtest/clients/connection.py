"""One connection of a client: what all transports need of it."""

from __future__ import annotations

import abc
import asyncio
import os
import socket
from collections.abc import Iterable
from typing import Protocol, cast

from loadtest.calls import Call
from loadtest.clients import ConnectError
from loadtest.clock import Clock


class Owner(Protocol):
    """Whoever hands calls to connections; see ``loadtest.clients.pool.Pool``."""

    clock: Clock

    def release(self, connection: Connection) -> None:
        """``connection`` has room for one more call again."""

    def forget(self, connection: Connection) -> None:
        """``connection`` takes no more calls."""


class Connection(asyncio.Protocol, abc.ABC):
    """One connection.

    Attributes:
        room: calls that it takes beside those that are under way on it.
        ready: done as soon as calls may be sent.
    """

    room = 0

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._clock = owner.clock
        self._transport: asyncio.Transport  # there from connection_made on, before anybody else sees this object
        self._descriptor = -1
        self._cause = ""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._descriptor = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("connection lost", reason(exc) if exc and not self._cause else self._cause)

    def write(self, data: bytes) -> None:
        """Give ``data`` to the kernel now: the transport of uvloop would wait until the loop's turn is over."""
        transport = self._transport
        if transport.is_closing():
            return  # the descriptor may be somebody else's by now
        if transport.get_write_buffer_size():
            transport.write(data)
            return
        try:
            written = os.write(self._descriptor, data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._cause = reason(error)
            transport.abort()
            return
        if written < len(data):
            transport.write(memoryview(data)[written:])

    def usable(self, now: int) -> bool:  # noqa: ARG002
        """Whether a call may be sent at ``now``."""
        return self.room > 0 and not self._transport.is_closing()

    def end(self, kind: str, detail: str = "") -> None:
        """Close, with all calls that are under way failed."""
        if not self.ready.done():
            self.ready.set_exception(ConnectError(": ".join(filter(None, ("connect", kind, detail)))))
        self.room = 0
        self._owner.forget(self)
        self._transport.abort()
        now = self._clock.now()
        for call in self.take_calls():
            call.fail(kind, now, detail)

    def abandon(self) -> None:
        """Close, if it was opened at all."""
        if self._descriptor >= 0:
            self.end("closed")

    @abc.abstractmethod
    def send(self, call: Call, since: int) -> None:
        """Send ``call``, which was started at ``since``; ``room`` has been taken."""

    @abc.abstractmethod
    def take_calls(self) -> Iterable[Call]:
        """All calls that are under way, which are the caller's from now on."""

    @abc.abstractmethod
    def expire(self, oldest: int) -> None:
        """Fail the calls that were started before ``oldest``."""


def reason(error: Exception) -> str:
    """What the system says, such as ``Connection refused``; asyncio's own sentence names addresses instead."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    return str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno)
