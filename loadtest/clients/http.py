"""A lean keep-alive HTTP/1.1 client: requests are encoded once and written in one piece, answers barely parsed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import cast

import httptools

from loadtest.clients import Answer, RequestFailed
from loadtest.clock import NS, Clock

_WATCH_SECONDS = 0.2


def encode_post(host: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of one POST request."""
    lines = [f"POST {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class _Connection(asyncio.Protocol):
    """One request at a time on one connection."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._clock = client.clock
        self._transport: asyncio.Transport  # there from connection_made on, before anybody else sees this object
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._header_length: int | None = None
        self.sent = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("not HTTP")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._client.forget(self)
        self._fail("connection lost")

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._chunks.clear()
        self._header_length = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 31 and name.lower() == b"inference-header-content-length" and value.isdigit():
            self._header_length = int(value)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        done = self._clock.now()
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            self.abort()  # an answer nobody asked for: the stream is out of step
            return
        if not self._parser.should_keep_alive():
            self.abort()
        status = self._parser.get_status_code()
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        if status == 200:
            waiter.set_result(Answer(body, self._header_length, done))
        else:
            waiter.set_exception(RequestFailed(f"HTTP {status}", body[:200].decode("utf-8", "replace")))

    # for the client

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def exchange(self, request: bytes) -> asyncio.Future[Answer]:
        self._waiter = asyncio.get_running_loop().create_future()
        self.sent = self._clock.now()
        self._transport.write(request)
        return self._waiter

    def expire(self) -> None:
        self._fail("timeout")

    def abort(self) -> None:
        self._transport.abort()

    def _fail(self, kind: str) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(RequestFailed(kind))
        self.abort()


class HttpClient:
    """Sends encoded requests to ``host:port`` over as many keep-alive connections as are in use at once."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes], *, clock: Clock, timeout: float) -> None:
        self.clock = clock
        self._host = host.strip("[]")  # IPv6 in a URL
        self._port = port
        self._requests = requests
        self._timeout = timeout
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._watch: asyncio.Task[None] | None = None

    async def connect(self, connections: int) -> None:
        """Have ``connections`` idle connections ready. Raises RequestFailed."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._expire_late())
        self._idle = [connection for connection in self._idle if connection.usable]
        while len(self._idle) < connections:
            self._idle.append(await self._open())

    async def send(self, sample: int) -> Answer:
        """Send request number ``sample`` on an idle connection, or a new one."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                break
        else:
            connection = await self._open()
        self._busy.add(connection)
        try:
            return await connection.exchange(self._requests[sample])
        except asyncio.CancelledError:
            connection.abort()  # its answer is still to come and must not meet another request
            raise
        finally:
            self._busy.discard(connection)
            if connection.usable:
                idle.append(connection)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        for connection in (*self._idle, *self._busy):
            connection.abort()

    def forget(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
        except TimeoutError:
            raise RequestFailed("connect", "timed out") from None
        except OSError as error:
            raise RequestFailed("connect", error.strerror or str(error)) from None
        return connection

    async def _expire_late(self) -> None:
        # One look at all connections now and then is cheaper than a timer for every request.
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            oldest = self.clock.now() - int(self._timeout * NS)
            for connection in [connection for connection in self._busy if connection.sent < oldest]:
                connection.expire()
