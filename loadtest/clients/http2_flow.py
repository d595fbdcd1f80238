"""What of the request bodies may be sent now: the sender's side of HTTP/2's flow control (RFC 9113, section 5.2)."""

from __future__ import annotations

from loadtest.clients import http2


class _Unsent:
    __slots__ = ("body", "window")

    def __init__(self, body: bytes, window: int) -> None:
        self.body = memoryview(body)
        self.window = window


class SendFlow:
    """Windows of one connection and its streams. Each method returns the DATA frames that have become possible.

    Attributes:
        max_frame: longest payload of a frame that the peer takes.
    """

    def __init__(self) -> None:
        self.max_frame = http2.LEAST_MAX_FRAME
        self._window = http2.FIRST_WINDOW
        self._stream_window = http2.FIRST_WINDOW
        self._unsent: dict[int, _Unsent] = {}  # the streams that have been sent in full need no window any more

    def open(self, stream: int, body: bytes) -> list[bytes | memoryview]:
        """All of ``body`` is to be sent on the new ``stream``, and ends it."""
        length = len(body)
        if length <= self._window and length <= self._stream_window and length <= self.max_frame:
            self._window -= length
            return [http2.head(length, http2.DATA, http2.END_STREAM, stream), body]
        self._unsent[stream] = _Unsent(body, self._stream_window)
        return self._possible()

    def enlarge(self, stream: int, increment: int) -> list[bytes | memoryview]:
        """The peer has taken ``increment`` octets of ``stream``, or of the connection, which is stream 0.

        Raises:
            ProtocolError: the window exceeds what HTTP/2 allows.
        """
        unsent = self._unsent.get(stream)
        if stream == 0:
            self._window = _checked(self._window + increment)
        elif unsent is not None:
            unsent.window = _checked(unsent.window + increment)
        return self._possible()

    def resize(self, stream_window: int) -> list[bytes | memoryview]:
        """The peer's INITIAL_WINDOW_SIZE, which also moves the windows of streams under way, below 0 if need be.

        Raises:
            ProtocolError: a window exceeds what HTTP/2 allows.
        """
        change = _checked(stream_window) - self._stream_window
        self._stream_window = stream_window
        for unsent in self._unsent.values():
            unsent.window = _checked(unsent.window + change)
        return self._possible()

    def forget(self, stream: int) -> bool:
        """Nothing more is sent on ``stream``; whether there was anything left."""
        return self._unsent.pop(stream, None) is not None

    def _possible(self) -> list[bytes | memoryview]:
        pieces: list[bytes | memoryview] = []
        for stream, unsent in list(self._unsent.items()):
            while (length := min(len(unsent.body), unsent.window, self._window, self.max_frame)) > 0:
                last = length == len(unsent.body)
                pieces += http2.head(length, http2.DATA, http2.END_STREAM if last else 0, stream), unsent.body[:length]
                unsent.body = unsent.body[length:]
                unsent.window -= length
                self._window -= length
            if not unsent.body:
                del self._unsent[stream]
        return pieces


def _checked(window: int) -> int:
    if window > http2.GREATEST_WINDOW:
        raise http2.ProtocolError(f"a window of {window} octets; {http2.GREATEST_WINDOW} are allowed")
    return window
