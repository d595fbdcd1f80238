"""The server's end of one HTTP/2 connection (RFC 9113): streams of one request and one answer each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, cast

from gateway.http2 import frames as http2
from gateway.http2.answers import Answers
from gateway.http2.frames import ProtocolError
from gateway.http2.head_reader import Head, HeadReader
from gateway.http2.header_blocks import Field
from gateway.http2.patience import Patience
from gateway.http2.server_stream import MAX_FRAME, Bounds, ServerStream

_ENLARGE_AFTER = 2**29
_LINGER = 1.0  # seconds in which a client may close a connection that the server has done with


class ServerConnection(asyncio.BufferedProtocol, Generic[Head]):
    """Frames in, frames out; requests are the business of ``ServerStream``.

    ``read`` makes of the fields of a header block what ``open_stream`` gets with the stream's number; ``made`` and
    ``lost`` are called when the connection is there, and is no more. All connections of an event loop may have the same
    ``scratch`` to read into.

    Attributes:
        peer: the client's address.
        bounds: what it may take.
        answers: what streams write to.
    """

    def __init__(
        self,
        read: Callable[[list[Field]], Head],
        open_stream: Callable[[ServerConnection[Head], int, Head], ServerStream],
        bounds: Bounds,
        scratch: memoryview,
        made: Callable[[ServerConnection[Head]], object],
        lost: Callable[[ServerConnection[Head]], object],
    ) -> None:
        self.peer = ""
        self.bounds = bounds
        self._scratch = scratch
        self._open_stream, self._made, self._lost = open_stream, made, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._preface = http2.PrefaceReader()
        self._greeted = False
        self._reader = http2.FrameReader(MAX_FRAME)
        self._heads = HeadReader(read)
        self.answers = Answers(self._sent, self._drained)
        self._streams: dict[int, ServerStream] = {}
        self._unwinding = 0  # streams that were abandoned and still take time
        self._last_stream = 0
        self._received = 0
        self._patience = Patience(bounds.head_seconds, bounds.body_seconds, self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = False  # no further streams

    # ---- for streams

    def read_more(self, number: int, octets: int) -> None:
        """So much of the body of the stream ``number`` was used, and may be replaced by more."""
        if number in self._streams:
            self.answers.write((http2.frame(http2.WINDOW_UPDATE, 0, number, http2.number(octets)),))

    def unwound(self) -> None:
        """A stream that was abandoned takes no more time."""
        self._unwinding -= 1

    # ---- the end

    def go_away(self) -> None:
        """Ask the client to begin no further streams; those that it does begin are served."""
        self.answers.write((http2.go_away(http2.GREATEST_STREAM),))

    def leave(self) -> None:
        """Serve no streams but those that have begun, then close. What comes later, clients may send elsewhere."""
        self._leaving = True
        self.answers.write((http2.go_away(self._last_stream),))
        self._close_if_done()

    def abort(self) -> None:
        """Close at once."""
        self.answers.flush()
        self._transport.abort()

    # ---- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.answers.connect(self._transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.answers.write((self.bounds.greeting(),))
        self._made(self)
        self._watch()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        self.received(cast("bytes", self._scratch[:nbytes]))  # of which nothing is kept but copies

    def received(self, data: bytes) -> None:
        """So much has come."""
        rest = self._preface.feed(data) if self._preface.missing else data
        if rest is None:
            self._transport.close()
            return
        try:
            frames = self._reader.feed(rest)
            if frames:
                self._patience.moved()
            else:
                self._patience.stalled(self._loop.time())
                self._watch()
            for kind, flags, number, payload in frames:
                if self._heads.unfinished and kind != http2.CONTINUATION:
                    raise ProtocolError("a header block is interrupted")
                if kind == http2.DATA:
                    self._data(flags, number, payload)
                elif kind == http2.HEADERS and self._greeted:
                    head = self._heads.begin(flags, number, payload)
                    if head is None:
                        self._patience.head_began(self._loop.time())
                        self._watch()
                    else:
                        self._head(flags, number, head)
                else:
                    self._control(kind, flags, number, payload)
        except ProtocolError as error:
            self._fail(error)

    def pause_writing(self) -> None:
        self.answers.hold()

    def resume_writing(self) -> None:
        self.answers.resume()

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number in list(self._streams):
            self._abandon(number)
        self._lost(self)

    # ---- requests

    def _head(self, flags: int, number: int, head: Head) -> None:
        stream = self._streams.get(number)
        if stream is None:
            stream = self._open(number, head)
            if stream is None:
                return
            if self._timer is None:
                self._watch()
            if not (flags & http2.END_STREAM or stream.endless):
                self._patience.request_began(number, self._loop.time())
        elif not flags & http2.END_STREAM:
            raise ProtocolError("trailers that do not end their stream")
        if flags & http2.END_STREAM:
            self._complete(number, stream)

    def _complete(self, number: int, stream: ServerStream) -> None:
        if not stream.complete:
            stream.complete = True
            self._patience.request_ended(number)
            stream.end()

    def _open(self, number: int, head: Head) -> ServerStream | None:
        if not number % 2:
            raise ProtocolError(f"a client's stream with the number {number}")
        if number <= self._last_stream:
            return None  # trailers of a request that was answered before its end
        if self._leaving:
            return None
        self._last_stream = number
        if len(self._streams) + self._unwinding >= self.bounds.streams:
            self._reset(number, http2.REFUSED_STREAM)
            return None
        stream = self._streams[number] = self._open_stream(self, number, head)
        stream.begin()
        return self._streams.get(number)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= _ENLARGE_AFTER:
            self.answers.write((http2.frame(http2.WINDOW_UPDATE, payload=http2.number(self._received)),))
            self._received = 0
        stream = self._streams.get(number)
        if stream is None:
            self._require_begun(number)
            return  # answered already, or given up
        if flags & http2.PADDED:
            length, payload = len(payload), http2.content(http2.DATA, flags, payload)
            self.read_more(number, length - len(payload))
        if payload and not stream.complete:
            stream.data(payload)
        if flags & http2.END_STREAM and number in self._streams:
            self._complete(number, stream)

    # ---- the connection

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == http2.SETTINGS:
            self._settings(flags, number, payload)
        elif not self._greeted:
            raise ProtocolError("the first frame is not SETTINGS")
        elif kind == http2.WINDOW_UPDATE:
            self._enlarge(number, http2.read_number(payload) & http2.GREATEST_WINDOW)
        elif kind == http2.PING:
            if len(payload) != 8 or number:
                raise ProtocolError(f"PING of {len(payload)} octets for {number}", http2.FRAME_SIZE_ERROR)
            if not flags & http2.ACK:
                self.answers.reply(http2.frame(http2.PING, http2.ACK, 0, payload))
        elif kind == http2.RST_STREAM:
            http2.read_number(payload)
            self._require_begun(number)
            self._abandon(number)
        elif kind == http2.CONTINUATION:
            read = self._heads.go_on(flags, number, payload)
            if read is not None:
                self._head(read[0], number, read[1])
        elif kind == http2.PUSH_PROMISE:
            raise ProtocolError("a client's PUSH_PROMISE")

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if flags & http2.ACK:
            return
        if number:
            raise ProtocolError(f"SETTINGS for the stream {number}")
        values, flow = dict(http2.read_settings(payload)), self.answers.flow
        self._greeted = True
        self.answers.reply(http2.frame(http2.SETTINGS, http2.ACK))
        flow.max_frame = values.get(http2.MAX_FRAME_SIZE, flow.max_frame)
        if not http2.LEAST_MAX_FRAME <= flow.max_frame < 2**24:
            raise ProtocolError(f"frames of {flow.max_frame} octets at most")
        if http2.INITIAL_WINDOW_SIZE in values:
            self.answers.progress(flow.resize(values[http2.INITIAL_WINDOW_SIZE]))

    def _enlarge(self, number: int, increment: int) -> None:
        if number:
            self._require_begun(number)
        if not increment:
            raise ProtocolError("WINDOW_UPDATE by nothing")
        if number == 0 or number in self._streams:
            self.answers.progress(self.answers.flow.enlarge(number, increment))

    def _require_begun(self, number: int) -> None:
        if not number or (number > self._last_stream and not self._leaving):
            raise ProtocolError(f"a frame for the stream {number}, which has not begun")

    def _drained(self, number: int) -> None:
        self._streams[number].drained()

    def _sent(self, number: int) -> None:
        """All of the answer has left."""
        stream = self._streams.pop(number)
        self.answers.forget(number)
        if not stream.complete:  # and nobody is interested in the rest of the request
            self._patience.request_ended(number)
            self._reset(number, http2.NO_ERROR)
        self._close_if_done()

    def _abandon(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._patience.request_ended(number)
            self.answers.forget(number)
            self._unwinding += 1
            stream.abandoned()
            self._close_if_done()

    def _reset(self, number: int, code: int) -> None:
        self.answers.reply(http2.frame(http2.RST_STREAM, 0, number, http2.number(code)))

    # ---- time

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience.period, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        head_under_way = self._heads.unfinished or not self._greeted
        if self._patience.is_over(now, head_under_way=head_under_way):
            self._fail(ProtocolError("a head that takes too long", http2.SETTINGS_TIMEOUT))
            return
        for number in self._patience.late_requests(now):
            self._streams[number].late()
        for number in self.answers.stuck(now - self.bounds.body_seconds):
            self._reset(number, http2.CANCEL)
            self._abandon(number)
        if head_under_way or self._streams or self._patience.stuck:
            self._watch()

    def _close_if_done(self) -> None:
        if self._leaving and not self._streams:
            # The client closes by itself, and has read everything then; closing before it has could lose its answers.
            self._loop.call_later(_LINGER, self._transport.close)

    def _fail(self, error: ProtocolError) -> None:
        self.answers.write((http2.go_away(self._last_stream, error.code, str(error)),))
        self.answers.flush()
        self._transport.close()
