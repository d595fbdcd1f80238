"""A stream for logs: what cannot be written to it is lost, and nothing else with it."""

from __future__ import annotations

from typing import TextIO


class LogStream:
    """Writes to ``stream``, whose failures (a full disk, a reader that is gone) must fail no request and no start.

    Once it can be written to again, it is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text``, or lose it; returns its length."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Have it written now, if it can be."""
        try:
            self._stream.flush()
        except OSError:
            return
