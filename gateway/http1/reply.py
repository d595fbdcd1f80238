"""One answer, and its head as bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Reply:
    """One HTTP answer. Its length, its date and whether the connection ends are not among ``headers``."""

    body: bytes
    headers: Headers
    status: int = 200


def _line(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_LINES = {status: _line(status) for status in range(100, 600)}
_CLOSE = b"connection: close\r\n\r\n"
_END = b"\r\n"


class _DateLine:
    """The header ``Date``, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def __call__(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second, self._line = now, f"date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._line


_date = _DateLine()


def encode_head(reply: Reply, *, close: bool) -> bytes:
    """Status line and headers; with ``close`` they say that the connection ends.

    Raises:
        ValueError: a header would end early and be another one.
    """
    parts = [_LINES[reply.status], _date(), b"content-length: %d\r\n" % len(reply.body)]
    for name, value in reply.headers:
        parts += (name, b": ", value, _END)
    parts.append(_CLOSE if close else _END)
    head = b"".join(parts)
    lines = len(reply.headers) + (5 if close else 4)
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise ValueError(f"a line break in one of the headers {reply.headers}")
    return head
