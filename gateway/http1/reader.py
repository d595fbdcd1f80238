"""The bytes of one connection as heads, pieces of bodies, and ends; bounded in what may belong to one request."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import httptools

# Request line and headers together, in bytes; what the other servers of this field allow is between 8 and 64 KiB.
MAX_HEAD = 64 * 1024
_HEAD_TOO_LARGE = 431, f"The request's head is over {MAX_HEAD} bytes."
_AROUND_HEADER = len(": \r\n")

# Verb, target, headers by name, and whether the connection may go on after the answer.
OnHead = Callable[[bytes, bytes, Mapping[bytes, bytes], bool], object]


class BadRequest(Exception):
    """What has come is refused, with a ``status``, and nobody can tell where a next request would begin."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestReader:
    """Tells ``on_head``, ``on_piece`` and ``on_end`` what it finds in the bytes that it is fed.

    A header that came several times is one list, as RFC 9110 has it, and no value can hide another. The wish for
    another protocol is ignored. A body may have ``max_chunks`` chunks.

    Attributes:
        in_head: whether what comes next is a head, or a part of one.
        is_old: whether the last request was one of HTTP/1.0.
    """

    # The callbacks' names are httptools'.

    def __init__(
        self, on_head: OnHead, on_piece: Callable[[bytes], object], on_end: Callable[[], object], max_chunks: int
    ) -> None:
        self._on_head, self._on_piece, self._on_end = on_head, on_piece, on_end
        self._max_chunks = max_chunks
        self._problem = (400, "Invalid HTTP request received.")
        self._url = b""
        self._lines: list[tuple[bytes, bytes]] = []
        self.in_head = True
        self.is_old = False
        self._unread = 0  # bytes that are neither of a complete head nor of a body: of a head, of trailers
        self._begun = False  # a head has, and not ended
        self._began_now = False  # it has with what is being fed
        self._trailers = 0
        self._chunks = 0
        self._upgrading = False
        self._renew()

    @property
    def within_head(self) -> bool:
        """Whether a part of a head has come, and not all of it."""
        return self._begun or (self.in_head and self._unread > 0)

    def feed(self, data: bytes | memoryview) -> None:
        """Read ``data``.

        Raises:
            BadRequest: it is no proper HTTP, or too much of it.
        """
        self._began_now = False
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.feed(self._head_without_upgrade() + data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            raise BadRequest(*self._problem) from None
        if self._unread > MAX_HEAD:
            raise BadRequest(*_HEAD_TOO_LARGE)

    def skip_body(self) -> None:
        """The rest of a body has come by another way, and the parser would wait for it."""
        self._renew()
        self.on_message_complete()

    def close(self) -> None:
        """Nothing more is read; the parser, which refers to this, is let go."""
        del self._parser, self._on_head, self._on_piece, self._on_end

    # ---- called by the parser

    def on_message_begin(self) -> None:
        self._begun = self._began_now = True
        self._url = b""
        self._lines = []

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MAX_HEAD:
            self._fail(414, "The URL is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:
            self._lines.append((name.lower(), value))
        else:
            self._trailer(name, value)

    def on_headers_complete(self) -> None:
        parser = self._parser
        verb = parser.get_method()
        # CONNECT looks like an upgrade to the parser too; it fails on its address.
        self._upgrading = parser.should_upgrade() and verb != b"CONNECT"
        if self._upgrading:
            return
        # What one read brings is no longer than a head may be.
        if not self._began_now and self._size_of_head() > MAX_HEAD:
            self._fail(*_HEAD_TOO_LARGE)
        self.in_head, self._begun, self._unread = False, False, 0
        headers = _by_name(self._lines)
        keeps = parser.should_keep_alive()
        # HTTP/1.0 keeps a connection with a header only, and is not granted it with one either.
        self.is_old = (not keeps or b"connection" in headers) and parser.get_http_version() == "1.0"
        self._on_head(verb, self._url, headers, keeps and not self.is_old)

    def on_body(self, piece: bytes) -> None:
        self._unread = 0
        self._on_piece(piece)

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self._max_chunks:
            self._fail(413, f"The request's body has over {self._max_chunks} chunks.")

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        self.in_head, self._unread, self._chunks, self._trailers = True, 0, 0, 0
        self._on_end()

    # ---- within

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # Clients that pipeline may send on after "Connection: close"; older parsers are lenient by themselves.
        with contextlib.suppress(AttributeError):
            self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _size_of_head(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + _AROUND_HEADER for name, value in self._lines)

    def _trailer(self, name: bytes, value: bytes) -> None:
        self._trailers += len(name) + len(value) + _AROUND_HEADER
        if self._trailers > MAX_HEAD:
            self._fail(*_HEAD_TOO_LARGE)

    def _head_without_upgrade(self) -> bytes:
        """The head again, for a new parser, without the wish for another protocol, which no server need fulfil.

        Clients that would rather speak HTTP/2 express it with every first request. The parser takes what follows for
        the other protocol then, and would lose the body.
        """
        parser = self._parser
        lines = [b"%s %s HTTP/%s" % (parser.get_method(), self._url, parser.get_http_version().encode())]
        for name, value in self._lines:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(name + b": " + b",".join(kept))
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        self._renew()
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _fail(self, status: int, text: str) -> None:
        self._problem = status, text
        raise ValueError(text)  # the parser turns it into its own error, and feed refuses


def _by_name(lines: list[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    headers = dict(lines)
    if len(headers) == len(lines):
        return headers
    values: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(several) for name, several in values.items()}
