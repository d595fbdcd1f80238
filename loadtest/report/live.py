"""What is happening right now, on one line of the terminal.

The process that draws it also makes the load, so it must cost next to nothing: one ``write`` of plain text a second,
and two order statistics of at most some thousands of times.
"""

from __future__ import annotations

import math

import numpy as np
from rich.console import Console

from loadtest.results.block import IntArray
from loadtest.units import MISSING, milliseconds, per_second

_MOST = 4096  # times looked at in an interval; the result has all of them, this line only has to be roughly right
_CLEAR = "\r\x1b[2K"


class LiveLine:
    """One line that is overwritten; nothing at all where the output is no terminal."""

    def __init__(self, console: Console, title: str, total_seconds: float) -> None:
        self._file = console.file
        self._shown = console.is_terminal
        self._width = console.width
        self._title = title
        self._total = total_seconds
        self._elapsed = 0.0
        self._failures = 0

    def update(self, answers: IntArray, seconds: float, failures: int, in_flight: int, offered: float | None) -> None:
        """Show the last interval.

        Args:
            answers: response times in ns of the good answers in it.
            seconds: its length.
            failures: requests that failed in it.
            in_flight: requests under way now.
            offered: requests a second that were due; None in closed loops.
        """
        if not self._shown:
            return
        self._elapsed += seconds
        self._failures += failures
        rate = per_second(len(answers) / seconds) if seconds > 0 else MISSING
        due = "" if offered is None else f" of {per_second(offered)}"
        median, tail = _percentiles(answers)
        self._write(
            f"{self._title}  {self._elapsed:.0f}/{self._total:.0f} s  {rate}{due} req/s  "
            f"p50 {median} p99 {tail} ms  {self._failures:,} errors  {in_flight:,} in flight"
        )

    def done(self) -> None:
        """Wipe the line."""
        if self._shown:
            self._file.write(_CLEAR)
            self._file.flush()

    def _write(self, line: str) -> None:
        # A line that wraps cannot be overwritten; the title gives way, the numbers are what people look at.
        excess = len(line) - (self._width - 1)
        if excess > 0:
            line = f"{self._title[: max(len(self._title) - excess - 1, 0)]}…{line[len(self._title) :]}"
        self._file.write(_CLEAR + line[: self._width - 1])
        self._file.flush()


def _percentiles(answers: IntArray) -> tuple[str, str]:
    """The median and the 99th percentile of an even selection."""
    if not len(answers):
        return MISSING, MISSING
    chosen = answers[:: -(-len(answers) // _MOST)]
    ranks = [max(math.ceil(share * len(chosen)), 1) - 1 for share in (0.5, 0.99)]
    ordered = np.partition(chosen, ranks)
    low, high = (milliseconds(int(ordered[rank]) / 1e9) for rank in ranks)
    return low, high
