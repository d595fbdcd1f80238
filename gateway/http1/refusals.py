"""Answers that no application gives."""

from __future__ import annotations

from gateway.http1.reply import Reply

_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]

BROKEN = Reply(b"Internal Server Error", _TEXT, 500)
STOPPING = Reply(b"The server is stopping.", _TEXT, 503)

# In a crowd there is no time to make one; a 503 needs no date.
_CROWDED = b'{"error":"too many requests at once; try again later"}'
_CROWDED_HEAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
_CROWDED_HEAD += b"content-length: %d\r\n" % len(_CROWDED)
TURNED_AWAY = _CROWDED_HEAD + b"\r\n" + _CROWDED
SENT_AWAY = _CROWDED_HEAD + b"connection: close\r\n\r\n" + _CROWDED


def refusal(status: int, text: str) -> Reply:
    """One in plain ASCII, for what is no proper request."""
    return Reply(text.encode("ascii"), _TEXT, status)
