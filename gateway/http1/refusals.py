"""Answers that no application gives."""

from __future__ import annotations

from gateway.http1.reply import Reply

_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]

BROKEN = Reply(b"Internal Server Error", _TEXT, 500)
STOPPING = Reply(b"The server is stopping.", _TEXT, 503)
CROWDED = Reply(
    b'{"error":"too many requests at once; try again later"}',
    [(b"content-type", b"application/json"), (b"retry-after", b"1")],
    503,
)


def refusal(status: int, text: str) -> Reply:
    """One in plain ASCII, for what is no proper request."""
    return Reply(text.encode("ascii"), _TEXT, status)
