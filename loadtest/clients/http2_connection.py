"""The client's end of one HTTP/2 connection (RFC 9113): streams of one request and one answer each."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Iterable

from gateway.http2 import frames as http2
from gateway.http2.frames import ProtocolError
from gateway.http2.send_flow import SendFlow
from loadtest.calls import Call
from loadtest.clients.connection import Connection, Owner

# Large frames and windows keep the server from waiting for the load generator. No answer is as long as the window of
# a stream, so only the connection's is ever enlarged. Without a table, header blocks mean the same wherever they are.
_MAX_FRAME = 2**20
_SETTINGS = {
    http2.HEADER_TABLE_SIZE: 0,
    http2.ENABLE_PUSH: 0,
    http2.INITIAL_WINDOW_SIZE: http2.GREATEST_WINDOW,
    http2.MAX_FRAME_SIZE: _MAX_FRAME,
}
_GREETING = (
    http2.PREFACE
    + http2.frame(http2.SETTINGS, payload=http2.settings(_SETTINGS))
    + http2.frame(http2.WINDOW_UPDATE, payload=http2.number(http2.GREATEST_WINDOW - http2.FIRST_WINDOW))
)
_ENLARGE_AFTER = 2**29


class Stream(abc.ABC):
    """The answer to one request as it comes in; ``call`` was started at ``since``."""

    __slots__ = ("call", "since")

    def __init__(self, call: Call, since: int) -> None:
        self.call = call
        self.since = since

    @abc.abstractmethod
    def headers(self, block: bytes) -> None:
        """A header block, still encoded. Raises ProtocolError."""

    @abc.abstractmethod
    def data(self, payload: bytes) -> None:
        """A piece of the body."""

    @abc.abstractmethod
    def end(self, now: int) -> None:
        """The answer is complete: finish the call."""

    @abc.abstractmethod
    def reset(self, code: int, now: int) -> None:
        """The server has given up: fail the call."""


class Http2Connection(Connection):
    """Frames in, frames out; calls are the business of ``Stream``."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._reader = http2.FrameReader(_MAX_FRAME)
        self._flow = SendFlow()
        self._streams: dict[int, Stream] = {}
        self._next_stream = 1
        self._most_streams = http2.GREATEST_STREAM
        self._received = 0
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and beginning of an incomplete header block
        self._leaving = ""

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.write(_GREETING)

    def usable(self, now: int) -> bool:
        """See ``Connection``."""
        return not self._leaving and super().usable(now)

    def take_calls(self) -> Iterable[Call]:
        """See ``Connection``."""
        streams, self._streams = self._streams, {}
        return [stream.call for stream in streams.values()]

    def expire(self, oldest: int) -> None:
        """See ``Connection``."""
        for number, stream in list(self._streams.items()):
            if stream.since < oldest:
                self._drop(number)
                self.write(http2.frame(http2.RST_STREAM, 0, number, http2.number(http2.CANCEL)))
                stream.call.fail("timeout", self._clock.now())

    def request(self, header_block: bytes, body: bytes, stream: Stream) -> None:
        """Send a request, whose ``call`` gets its stamp."""
        number = self._next_stream
        self._next_stream += 2
        if self._next_stream > http2.GREATEST_STREAM:
            self._leaving = "no stream numbers are left"
        self._streams[number] = stream
        head = http2.head(len(header_block), http2.HEADERS, http2.END_HEADERS, number)
        pieces = b"".join((head, header_block, *self._flow.send(number, body)))
        stream.call.sent = self._clock.now()
        self.write(pieces)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        now = self._clock.now()
        try:
            for kind, flags, number, payload in self._reader.feed(data):
                if self._block is not None and kind != http2.CONTINUATION:
                    raise ProtocolError("a header block is interrupted")
                if kind == http2.DATA:
                    self._data(flags, number, payload, now)
                elif kind == http2.HEADERS:
                    self._headers(flags, number, http2.content(kind, flags, payload), now)
                else:
                    self._control(kind, flags, number, payload, now)
        except ProtocolError as error:
            self.end("not HTTP/2", str(error))

    # the answers

    def _headers(self, flags: int, number: int, block: bytes, now: int) -> None:
        if not flags & http2.END_HEADERS:
            self._block = (number, flags, block)
            return
        stream = self._streams.get(number)
        if stream is None:
            return  # timed out a moment ago
        if not stream.call.first_byte:
            stream.call.first_byte = now
        stream.headers(block)
        if flags & http2.END_STREAM:
            self._end_stream(number, stream, now)

    def _continue(self, flags: int, number: int, payload: bytes, now: int) -> None:
        if self._block is None or self._block[0] != number:
            raise ProtocolError("CONTINUATION without a beginning")
        _, first_flags, beginning = self._block
        self._block = None
        self._headers(first_flags | flags & http2.END_HEADERS, number, beginning + payload, now)

    def _data(self, flags: int, number: int, payload: bytes, now: int) -> None:
        self._received += len(payload)
        if self._received >= _ENLARGE_AFTER:
            self.write(http2.frame(http2.WINDOW_UPDATE, payload=http2.number(self._received)))
            self._received = 0
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.data(http2.content(http2.DATA, flags, payload) if flags & http2.PADDED else payload)
        if flags & http2.END_STREAM:
            self._end_stream(number, stream, now)

    def _end_stream(self, number: int, stream: Stream, now: int) -> None:
        if self._flow.forget(number):  # answered before all of the request was sent
            self.write(http2.frame(http2.RST_STREAM, 0, number, http2.number(http2.CANCEL)))
        self._drop(number)
        stream.end(now)

    def _drop(self, number: int) -> None:
        self._flow.forget(number)
        del self._streams[number]
        if self._leaving and not self._streams:
            self._transport.close()
        self._owner.release(self)

    # the connection

    def _control(self, kind: int, flags: int, number: int, payload: bytes, now: int) -> None:
        if kind == http2.SETTINGS:
            if not flags & http2.ACK:
                self._settings(payload)
        elif not self.ready.done():
            raise ProtocolError("the first frame is not SETTINGS")
        elif kind == http2.WINDOW_UPDATE:
            if number == 0 or number in self._streams:
                self._write_all(self._flow.enlarge(number, http2.read_number(payload) & http2.GREATEST_WINDOW))
        elif kind == http2.PING:
            if not flags & http2.ACK:
                self.write(http2.frame(http2.PING, http2.ACK, 0, payload))
        elif kind == http2.RST_STREAM:
            stream = self._streams.get(number)
            if stream is not None:
                self._drop(number)
                stream.reset(http2.read_number(payload), now)
        elif kind == http2.GOAWAY:
            self._go_away(payload, now)
        elif kind == http2.CONTINUATION:
            self._continue(flags, number, payload, now)
        elif kind == http2.PUSH_PROMISE:
            raise ProtocolError("PUSH_PROMISE, which was turned off")

    def _settings(self, payload: bytes) -> None:
        values = dict(http2.read_settings(payload))
        self.write(http2.frame(http2.SETTINGS, http2.ACK))
        self._flow.max_frame = values.get(http2.MAX_FRAME_SIZE, self._flow.max_frame)
        if self._flow.max_frame < http2.LEAST_MAX_FRAME:
            raise ProtocolError(f"frames of {self._flow.max_frame} octets at most")
        if http2.INITIAL_WINDOW_SIZE in values:
            self._write_all(self._flow.resize(values[http2.INITIAL_WINDOW_SIZE]))
        most_streams = values.get(http2.MAX_CONCURRENT_STREAMS, self._most_streams)
        if not self.ready.done():
            self.room = most_streams
            self.ready.set_result(None)
        else:
            self.room += most_streams - self._most_streams
        self._most_streams = most_streams

    def _go_away(self, payload: bytes, now: int) -> None:
        if len(payload) < 8:
            raise ProtocolError(f"GOAWAY of {len(payload)} octets")
        last = int.from_bytes(payload[:4], "big") & http2.GREATEST_STREAM
        reason = http2.error_name(int.from_bytes(payload[4:8], "big"))
        self._leaving = f"GOAWAY {reason} {payload[8:].decode('utf-8', 'replace')}".rstrip()
        for number, stream in list(self._streams.items()):
            if number > last:
                self._drop(number)
                stream.call.fail("connection lost", now, self._leaving)
        if not self._streams:
            self._transport.close()

    def _write_all(self, pieces: list[bytes | memoryview]) -> None:
        if pieces:
            self.write(b"".join(pieces))
