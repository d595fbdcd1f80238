"""Consoles that outlive their terminal: a supervisor must go on, and clean up, when nobody reads its output."""

from __future__ import annotations

import os
import sys
from typing import IO, TextIO, cast

from rich.console import Console
from rich.text import Text


def results() -> Console:
    """Standard output, for results."""
    return Console(file=_lasting(sys.stdout), highlight=False)


def messages() -> Console:
    """Standard error, for progress and messages."""
    return Console(file=_lasting(sys.stderr), highlight=False)


def complain(message: str) -> None:
    """Print what went wrong to standard error."""
    messages().print(Text.assemble(("error: ", "red"), message), soft_wrap=True)


def _lasting(stream: TextIO) -> IO[str]:
    return cast("IO[str]", _LastingStream(stream))


class _LastingStream:
    """A text stream that goes to /dev/null once its reader or its terminal is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._discard()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _discard(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
