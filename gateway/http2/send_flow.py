"""What of the bodies may be sent now: the sender's side of HTTP/2's flow control (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections import deque

from gateway.http2 import frames as http2

Piece = bytes | memoryview


class _Unsent:
    """What is left to send of a stream."""

    __slots__ = ("last", "pieces", "window")

    def __init__(self, window: int) -> None:
        self.pieces: deque[memoryview] = deque()
        self.last: bytes | None = None
        self.window = window

    @property
    def waits(self) -> bool:
        return bool(self.pieces) or self.last is not None


class SendFlow:
    """Windows of one connection and its streams. Each method returns the bytes that have become possible.

    Attributes:
        max_frame: longest payload of a frame that the peer takes.
        held: nothing is possible while this is true: the transport has enough to write.
    """

    def __init__(self) -> None:
        self.max_frame = http2.LEAST_MAX_FRAME
        self.held = False
        self._window = http2.FIRST_WINDOW
        self._stream_window = http2.FIRST_WINDOW
        self._unsent: dict[int, _Unsent] = {}  # the streams that have been sent in full need no window any more

    def send(self, stream: int, body: bytes, last: bytes | None = b"") -> list[Piece]:
        """Send ``body`` on ``stream`` after what was sent on it before.

        ``last`` are the frames that end the stream; empty when the last of DATA does that, and None when more comes.
        """
        length = len(body)
        unsent = self._unsent.get(stream)
        window = self._stream_window if unsent is None else unsent.window
        at_once = length <= window and length <= self._window and length <= self.max_frame and not self.held
        if last is not None and at_once and (unsent is None or not unsent.pieces):
            self._window -= length
            if unsent is not None:
                del self._unsent[stream]
            if last:
                return [http2.head(length, http2.DATA, 0, stream), body, last] if body else [last]
            return [http2.head(length, http2.DATA, http2.END_STREAM, stream), body]
        unsent = self._of(stream)
        if body or last == b"":
            unsent.pieces.append(memoryview(body))
        unsent.last = last
        return self.possible()

    def enlarge(self, stream: int, increment: int) -> list[Piece]:
        """The peer has taken ``increment`` octets of ``stream``, or of the connection, which is stream 0.

        Raises:
            ProtocolError: the window exceeds what HTTP/2 allows.
        """
        if stream == 0:
            self._window = _checked(self._window + increment)
        else:
            unsent = self._of(stream)
            unsent.window = _checked(unsent.window + increment)
        return self.possible()

    def resize(self, stream_window: int) -> list[Piece]:
        """The peer's INITIAL_WINDOW_SIZE, which also moves the windows of streams under way, below 0 if need be.

        Raises:
            ProtocolError: a window exceeds what HTTP/2 allows.
        """
        change = _checked(stream_window) - self._stream_window
        self._stream_window = stream_window
        for unsent in self._unsent.values():
            unsent.window = _checked(unsent.window + change)
        return self.possible()

    def waits(self, stream: int) -> bool:
        """Whether some of what was to be sent on ``stream`` is still here."""
        unsent = self._unsent.get(stream)
        return unsent is not None and unsent.waits

    def left(self, stream: int) -> int:
        """Octets that wait on ``stream``."""
        return sum(map(len, self._unsent[stream].pieces))

    def ended(self, stream: int) -> bool:
        """Whether all of a ``stream`` that was begun has left, to its end."""
        return stream not in self._unsent

    def forget(self, stream: int) -> bool:
        """Nothing more is sent on ``stream``; whether there was anything left."""
        unsent = self._unsent.pop(stream, None)
        return unsent is not None and unsent.waits

    def possible(self) -> list[Piece]:
        """What can be sent now of all that waits."""
        pieces: list[Piece] = []
        if not self.held:
            for stream, unsent in list(self._unsent.items()):
                self._send_some(stream, unsent, pieces)
        return pieces

    def _of(self, stream: int) -> _Unsent:
        unsent = self._unsent.get(stream)
        if unsent is None:
            unsent = self._unsent[stream] = _Unsent(self._stream_window)
        return unsent

    def _send_some(self, stream: int, unsent: _Unsent, pieces: list[Piece]) -> None:
        while unsent.pieces:
            body = unsent.pieces[0]
            length = min(len(body), unsent.window, self._window, self.max_frame)
            if length <= 0 and body:
                return
            ends = length == len(body)
            if ends:
                unsent.pieces.popleft()
            else:
                unsent.pieces[0] = body[length:]
            flags = http2.END_STREAM if ends and unsent.last == b"" and not unsent.pieces else 0
            pieces += http2.head(length, http2.DATA, flags, stream), body[:length]
            unsent.window -= length
            self._window -= length
        if unsent.last is not None:
            if unsent.last:
                pieces.append(unsent.last)
            del self._unsent[stream]


def _checked(window: int) -> int:
    if window > http2.GREATEST_WINDOW:
        message = f"a window of {window} octets; {http2.GREATEST_WINDOW} are allowed"
        raise http2.ProtocolError(message, http2.FLOW_CONTROL_ERROR)
    return window
