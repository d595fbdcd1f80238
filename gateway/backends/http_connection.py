"""One keep-alive HTTP/1.1 connection to a server, one exchange at a time.

A general client spends more time on a request than the rest of the gateway together (aiohttp about 190 µs of CPU, this
about 40, in one run with 32 requests in flight), and needs none of its generality: no redirects, cookies, proxies or
streaming.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import httptools

from gateway.core.tensors import Buffer

# An answer with neither of these ends with the connection.
_FRAMED = (b"content-length", b"transfer-encoding")


class ConnectionBroken(Exception):
    """The connection ended before the answer was complete."""


class ProtocolViolation(Exception):
    """What came back is no HTTP, or is over the limit."""


@dataclass(slots=True)
class HTTPAnswer:
    """Status, headers as they came, and body of an answer."""

    status: Final[int]
    headers: Final[Sequence[tuple[bytes, bytes]]]
    body: Final[bytes]

    def header(self, name: bytes) -> str | None:
        """The value of the header ``name``, which is in lower case, the last of several; None where it did not come."""
        for each, value in reversed(self.headers):
            if each.lower() == name:
                return value.decode("latin-1")
        return None


class HTTPConnection(asyncio.Protocol):
    """Parses answers as they come; made for ``loop.create_connection``. ``max_body`` in bytes."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HTTPAnswer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._in_body = False
        self.reusable = False

    def send(self, head: bytes, body: Sequence[Buffer]) -> asyncio.Future[HTTPAnswer]:
        """Send one request, ``body`` uncopied; the future fails with ConnectionBroken or ProtocolViolation."""
        answer: asyncio.Future[HTTPAnswer] = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            answer.set_exception(ConnectionBroken())
            return answer
        self._answer = answer
        self.reusable = False
        self._transport.writelines((head, *body))
        return answer

    def close(self) -> None:
        """Give the connection up, with whatever is under way on it."""
        self.reusable = False
        self._answer = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(ProtocolViolation("no valid HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if exc is None and self._in_body and not any(name.lower() in _FRAMED for name, _ in self._headers):
            self._complete()
        else:
            self._fail(ConnectionBroken())

    # httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max_body:
            self._fail(ProtocolViolation(f"an answer over {self._max_body} bytes"))
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # 100 Continue and its kin announce the real answer
            self._reset()
            return
        if self._answer is None:  # nobody asked: whatever comes next could not be told from an answer
            self.close()
            return
        # Servers on uvicorn (MLServer, KServe) close the connection after an unforeseen failure, without saying so.
        self.reusable = self._parser.should_keep_alive() and self._parser.get_status_code() != 500
        self._complete()
        if not self.reusable and self._transport is not None:
            self._transport.close()

    def _complete(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            answer.set_result(HTTPAnswer(self._parser.get_status_code(), self._headers, body))
        self._reset()

    def _reset(self) -> None:
        self._headers, self._body, self._size, self._in_body = [], [], 0, False

    def _fail(self, error: Exception) -> None:
        answer = self._answer
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(error)
