"""The answers of a server's connection on their way to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from gateway.http2 import frames as http2
from gateway.http2.send_flow import Piece, SendFlow

_COPIED = 64 * 1024  # octets of a body that are rather copied than written apart
_WRITE_BUFFER = 512 * 1024  # octets; then bodies wait, so that their streams are still under way
# Answers to control frames, and to calls that fail, that may wait until the peer reads. One that asks for more does not
# mean to read them.
_MAX_REPLIES = 10_000


class Answers:
    """Writes what streams answer, as far as the client lets it.

    ``sent`` is called with a stream's number when all of its answer has left; ``drained`` when what was sent of one has
    left, after ``send`` had returned False.

    Attributes:
        flow: of the bodies.
    """

    def __init__(self, sent: Callable[[int], object], drained: Callable[[int], object]) -> None:
        self.flow = SendFlow()
        self._sent, self._drained = sent, drained
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        # Answers that wait for the client: since when it has taken nothing, and the octets that are left.
        self._waiting: dict[int, tuple[float, int]] = {}
        self._pending: list[Piece] = []
        self._replies = 0

    # ---- streams

    def answer(self, number: int, headers: bytes, prefix: bytes, body: bytes, trailers: bytes) -> None:
        """Answer the stream ``number``: encoded header blocks, and between them ``body`` after a short ``prefix``."""
        self.begin(number, headers)
        if len(body) > _COPIED:
            self.write(self.flow.send(number, prefix, None))
        else:
            body = prefix + body
        self._end(number, body, trailers)

    def answer_empty(self, number: int, headers: bytes) -> None:
        """Answer the stream ``number`` with an encoded header block alone."""
        self.reply(_trailers(number, headers))
        self._sent(number)

    def begin(self, number: int, headers: bytes) -> None:
        """Begin to answer the stream ``number``: ``send`` and ``finish`` follow."""
        self.write((http2.head(len(headers), http2.HEADERS, http2.END_HEADERS, number), headers))

    def send(self, number: int, body: bytes) -> bool:
        """Send a part of the answer; when that is False, wait with the next one until ``ServerStream.drained``."""
        self.write(self.flow.send(number, body, None))
        if not self.flow.waits(number):
            return True
        self._wait(number)
        return False

    def finish(self, number: int, trailers: bytes) -> None:
        """End the answer with an encoded header block."""
        self._end(number, b"", trailers)

    def forget(self, number: int) -> None:
        """Nobody waits for the rest of the answer."""
        self._waiting.pop(number, None)
        self.flow.forget(number)

    def stuck(self, since: float) -> list[int]:
        """The streams of whose answers the client has taken nothing ``since``, in the time of the event loop."""
        return [number for number, (began, _) in self._waiting.items() if began <= since]

    def progress(self, pieces: Sequence[Piece]) -> None:
        """Write ``pieces``, which the flow allows now."""
        if not pieces:
            return
        self.write(pieces)
        for number, (_, left) in list(self._waiting.items()):
            if self.flow.waits(number):
                if self.flow.left(number) != left:
                    self._wait(number)
            else:
                del self._waiting[number]
                (self._sent if self.flow.ended(number) else self._drained)(number)

    def _end(self, number: int, body: bytes, trailers: bytes) -> None:
        self.write(self.flow.send(number, body, _trailers(number, trailers)))
        if self.flow.waits(number):
            self._wait(number)
        else:
            self._sent(number)

    def _wait(self, number: int) -> None:
        self._waiting[number] = self._loop.time(), self.flow.left(number)

    # ---- the transport

    def connect(self, transport: asyncio.Transport) -> None:
        """Write to ``transport`` from now on."""
        transport.set_write_buffer_limits(_WRITE_BUFFER)
        self._transport = transport

    def hold(self) -> None:
        """The transport has enough to write."""
        self.flow.held = True

    def resume(self) -> None:
        """The transport can take more."""
        self.flow.held = False
        self._replies = 0
        self.progress(self.flow.possible())

    def write(self, pieces: Iterable[Piece]) -> None:
        """Write ``pieces`` at the end of this step of the event loop, with all else that it writes."""
        if not self._pending:
            self._loop.call_soon(self.flush)
        self._pending += pieces

    def reply(self, piece: bytes) -> None:
        """Write what the peer can ask for without end; it is cut off when it does, and does not read."""
        self.write((piece,))
        if self.flow.held:
            self._replies += 1
            if self._replies > _MAX_REPLIES:
                self._transport.abort()

    def flush(self) -> None:
        """Write now what there is."""
        if self._pending:
            pending, self._pending = self._pending, []
            if not self._transport.is_closing():
                self._transport.writelines(pending)


def _trailers(number: int, block: bytes) -> bytes:
    return http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, number, block)
