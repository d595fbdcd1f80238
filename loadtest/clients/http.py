"""A lean keep-alive HTTP/1.1 client: requests are encoded once and written in one piece, answers barely parsed."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterable, Sequence

import httptools

from loadtest.calls import Call
from loadtest.clients.connection import Connection, Owner
from loadtest.clients.pool import Pool
from loadtest.clock import NS, Clock

# Servers close connections that rest for seconds. One that rested longer than this is looked at before it is used:
# its end may be in the kernel and not yet in the event loop.
_RESTED = NS // 10

_HEADER_LENGTH = b"inference-header-content-length"
_SERVER_TIMING = b"server-timing"
_FRAMING = (b"content-length", b"transfer-encoding")
_NOTED_LENGTHS = frozenset(len(name) for name in (_HEADER_LENGTH, _SERVER_TIMING, *_FRAMING))


def encode_post(host: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of one POST request."""
    lines = [f"POST {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class HttpClient(Pool):
    """Sends encoded requests to ``host:port`` over as many keep-alive connections as are in use at once."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes], *, clock: Clock, timeout: float) -> None:
        super().__init__(host, port, clock=clock, timeout=timeout, expected_room=1)
        self._requests = requests

    def _connection(self) -> Connection:
        return _HttpConnection(self, self._requests)


class _HttpConnection(Connection):
    """One request at a time, and one answer to each."""

    def __init__(self, owner: Owner, requests: Sequence[bytes]) -> None:
        super().__init__(owner)
        self.room = 1
        self._requests = requests
        self._parser = httptools.HttpResponseParser(self)
        self._call: Call | None = None
        self._since = 0
        self._arrived = 0
        self._status = 0
        self._body: list[bytes] = []
        self._headers_complete = False
        self._framed = False
        self._complete = False
        self._keep_alive = True

    # Connection

    def usable(self, now: int) -> bool:
        """See ``Connection``."""
        return super().usable(now) and (now - self._arrived < _RESTED or not _readable(self._descriptor))

    def send(self, call: Call, since: int) -> None:
        """See ``Connection``."""
        self._call = call
        self._since = since
        call.sent = self._clock.now()
        self.write(self._requests[call.payload])

    def take_calls(self) -> Iterable[Call]:
        """See ``Connection``."""
        call, self._call = self._call, None
        return () if call is None else (call,)

    def expire(self, oldest: int) -> None:
        """See ``Connection``."""
        if self._call is not None and self._since < oldest:
            self.end("timeout")

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arrived = self._clock.now()
        self.ready.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._call is None:
            self._transport.abort()  # an answer that nobody asked for: the stream is out of step
            return
        self._arrived = self._clock.now()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self.end("not HTTP", str(error))
                return
            self._keep_alive = False  # the answer is good, but not what follows it
        if self._complete:
            self._finish(self._call)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._call is not None and exc is None and self._headers_complete and not self._framed:
            self._arrived = self._clock.now()
            self._status = self._parser.get_status_code()
            self._keep_alive = False
            self._finish(self._call)  # a body without a length ends with the connection
        super().connection_lost(exc)

    # httptools

    def on_message_begin(self) -> None:
        if self._complete:
            self._keep_alive = False  # a second answer to one request
        elif self._call is not None:
            self._call.first_byte = self._arrived
            self._call.header_length, self._call.server_timing = None, b""  # of an informational answer before
            self._headers_complete = self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) in _NOTED_LENGTHS and self._call is not None and not self._complete:
            self._note(self._call, name.lower(), value)

    def on_headers_complete(self) -> None:
        self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._complete:
            return
        self._status = self._parser.get_status_code()
        if 100 <= self._status < 200 and self._status != 101:
            self._headers_complete = False  # informational: the answer follows
            return
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()

    def _note(self, call: Call, name: bytes, value: bytes) -> None:
        if name in _FRAMING:
            self._framed = True
        elif name == _HEADER_LENGTH and value.isdigit():
            call.header_length = int(value)
        elif name == _SERVER_TIMING:
            call.server_timing = b", ".join((call.server_timing, value)) if call.server_timing else value

    def _finish(self, call: Call) -> None:
        self._call = None
        self._complete = False
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        if not self._keep_alive or self._transport.get_write_buffer_size():
            self._transport.abort()  # closing, or answered before all of the request was written
        self._owner.release(self)
        if self._status != 200:
            call.fail(f"HTTP {self._status}", self._arrived, body[:200].decode("utf-8", "replace"))
            return
        call.body = body
        call.done = self._arrived
        call.finished(call)


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
