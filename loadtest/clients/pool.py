"""The connections of one client: which have room, which calls wait for one, and which are late.

A transport only adds what a connection is. Nothing here makes a task, a future or a timer for a single call.
"""

from __future__ import annotations

import abc
import asyncio
from collections import deque
from typing import cast

from loadtest.calls import Call
from loadtest.clients import ConnectError
from loadtest.clients.connection import Connection, reason
from loadtest.clock import NS, Clock

# One look at all calls now and then is cheaper than a timer for every call.
SWEEP_SECONDS = 0.1


class Pool(abc.ABC):
    """A ``Client`` over connections to ``host:port``, each of which is expected to have ``expected_room``.

    A call without a connection that has room waits until one has, and as many are opened as the waiting calls need.
    """

    def __init__(self, host: str, port: int, *, clock: Clock, timeout: float, expected_room: int) -> None:
        self.clock = clock
        self.opened = 0
        self._host = host.strip("[]")  # IPv6 in a URL
        self._port = port
        self._timeout = timeout
        self._expected_room = expected_room
        # The one used last is taken first: the others may rest until the server closes them.
        self._free: dict[Connection, None] = {}
        self._connections: set[Connection] = set()
        self._waiting: deque[tuple[int, Call]] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    @abc.abstractmethod
    def _connection(self) -> Connection:
        """A new connection object."""

    async def connect(self, connections: int) -> None:
        """See ``Client``."""
        now = self.clock.now()
        room = sum(connection.room for connection in self._free if connection.usable(now))
        while room < connections:
            connection = await self._open()
            room += connection.room
            self._serve_waiting(connection)

    def start(self, call: Call) -> None:
        """See ``Client``."""
        now = self.clock.now()
        free = self._free
        while free:
            connection = next(reversed(free))
            if connection.usable(now):
                connection.room -= 1
                if not connection.room:
                    del free[connection]
                connection.send(call, now)
                return
            del free[connection]
        if self._closed:
            call.fail("closed", now)
            return
        self._waiting.append((now, call))
        self._open_enough()

    async def close(self) -> None:
        """See ``Client``."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for attempt in self._opening:
            attempt.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._connections):
            connection.end("closed")
        self._fail_waiting(0, "closed", "")
        await asyncio.sleep(0)  # the loop closes the sockets on its next turn

    def release(self, connection: Connection) -> None:
        """``connection`` has room for one more call again."""
        connection.room += 1
        self._serve_waiting(connection)

    def forget(self, connection: Connection) -> None:
        """``connection`` takes no more calls; those under way on it are its own business."""
        self._free.pop(connection, None)
        self._connections.discard(connection)

    def _serve_waiting(self, connection: Connection) -> None:
        while connection.usable(self.clock.now()):
            if not self._waiting:
                self._free[connection] = None
                return
            since, call = self._waiting.popleft()
            connection.room -= 1
            connection.send(call, since)

    def _open_enough(self) -> None:
        while len(self._opening) * self._expected_room < len(self._waiting):
            attempt = asyncio.get_running_loop().create_task(self._open_for_waiting())
            self._opening.add(attempt)

    async def _open_for_waiting(self) -> None:
        problem = ""
        try:
            connection = await self._open()
        except ConnectError as error:
            problem = str(error).removeprefix("connect: ")
        finally:
            self._opening.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        if problem:
            self._fail_waiting(len(self._opening) * self._expected_room, "connect", problem)
        else:
            self._serve_waiting(connection)
            self._open_enough()

    async def _open(self) -> Connection:
        """A new connection, ready and with room, that nobody else knows yet.

        Raises:
            ConnectError: see ``Client.connect``.
        """
        if self._sweeper is None:
            self._sweep()
        connection = self._connection()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                await loop.create_connection(lambda: connection, self._host, self._port)
                self._connections.add(connection)
                await connection.ready
        except TimeoutError:
            connection.abandon()
            raise ConnectError("connect: timed out") from None
        except OSError as error:
            raise ConnectError(f"connect: {reason(error)}") from None
        if not connection.usable(self.clock.now()):
            connection.abandon()
            raise ConnectError("connect: the server takes connections but no requests")
        self.opened += 1
        return connection

    def _fail_waiting(self, remaining: int, kind: str, detail: str) -> None:
        """Fail the calls that wait the longest; ``remaining`` may go on waiting."""
        now = self.clock.now()
        for _ in range(len(self._waiting) - remaining):
            _, call = self._waiting.popleft()
            call.fail(kind, now, detail)

    def _sweep(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        now = self.clock.now()
        oldest = now - int(self._timeout * NS)
        while self._waiting and self._waiting[0][0] < oldest:
            _, call = self._waiting.popleft()
            call.fail("timeout", now)
        for connection in list(self._connections):
            connection.expire(oldest)
