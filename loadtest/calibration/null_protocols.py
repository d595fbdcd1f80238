"""The connections of a server that does nothing: it answers every request with the same few bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

import hpack
import httptools

from gateway.http2 import frames as http2
from loadtest.clock import Clock

# What the answers hold: empty JSON, and a number that no protobuf message knows, so that any client can read them.
HTTP_BODY = b"{}"
GRPC_MESSAGE = b"\x78\x00"
_HTTP_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n" + HTTP_BODY
_PREFIXED_MESSAGE = b"\0" + len(GRPC_MESSAGE).to_bytes(4, "big") + GRPC_MESSAGE
_ENLARGE_AFTER = 2**29


class Answers:
    """Gives answers to the transports, each ``delay`` ns after its request was here, however many there are."""

    def __init__(self, clock: Clock, delay: int) -> None:
        self._clock = clock
        self._delay = delay
        self._due: deque[tuple[int, asyncio.Transport, bytes]] = deque()

    def give(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write ``answer`` when it is due."""
        if not self._delay:
            transport.write(answer)
            return
        due = self._clock.now() + self._delay
        self._due.append((due, transport, answer))
        if len(self._due) == 1:
            self._clock.call_at(due, self._give_due)

    def _give_due(self) -> None:
        while self._due and self._due[0][0] <= self._clock.now():
            _, transport, answer = self._due.popleft()
            if not transport.is_closing():
                transport.write(answer)
        if self._due:
            self._clock.call_at(self._due[0][0], self._give_due)


class NullHttp(asyncio.Protocol):
    """HTTP/1.1 with any method, path and body."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.abort()

    def on_message_complete(self) -> None:
        self._answers.give(self._transport, _HTTP_ANSWER)


class NullGrpc(asyncio.Protocol):
    """Unary gRPC calls of any method and message. Answers are too short to heed the client's flow control."""

    _settings = http2.frame(
        http2.SETTINGS,
        payload=http2.settings({http2.HEADER_TABLE_SIZE: 0, http2.INITIAL_WINDOW_SIZE: http2.GREATEST_WINDOW}),
    ) + http2.frame(http2.WINDOW_UPDATE, payload=http2.number(http2.GREATEST_WINDOW - http2.FIRST_WINDOW))
    _headers = hpack.Encoder().encode(
        [
            hpack.NeverIndexedHeaderTuple(":status", "200"),
            hpack.NeverIndexedHeaderTuple("content-type", "application/grpc"),
        ]
    )
    _trailers = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple("grpc-status", "0")])

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._reader = http2.FrameReader(http2.LEAST_MAX_FRAME)
        self._preface = http2.PrefaceReader()
        self._received = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._settings)

    def data_received(self, data: bytes) -> None:
        rest = self._preface.feed(data)
        if rest is None:
            self._transport.abort()
            return
        try:
            for frame in self._reader.feed(rest):
                self._take(*frame)
        except http2.ProtocolError:
            self._transport.abort()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == http2.DATA:
            self._received += len(payload)
            if self._received >= _ENLARGE_AFTER:
                self._transport.write(http2.frame(http2.WINDOW_UPDATE, payload=http2.number(self._received)))
                self._received = 0
            if flags & http2.END_STREAM:
                self._answers.give(self._transport, self._answer(stream))
        elif kind == http2.SETTINGS and not flags & http2.ACK:
            self._transport.write(http2.frame(http2.SETTINGS, http2.ACK))
        elif kind == http2.PING and not flags & http2.ACK:
            self._transport.write(http2.frame(http2.PING, http2.ACK, 0, payload))

    def _answer(self, stream: int) -> bytes:
        return b"".join(
            (
                http2.frame(http2.HEADERS, http2.END_HEADERS, stream, self._headers),
                http2.frame(http2.DATA, 0, stream, _PREFIXED_MESSAGE),
                http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, self._trailers),
            )
        )
