from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from loadtest.report.live import LiveLine

MS = 1_000_000


def line(*, terminal: bool = True, width: int = 120, title: str = "run") -> tuple[LiveLine, io.StringIO]:
    out = io.StringIO()
    return LiveLine(Console(file=out, force_terminal=terminal, width=width), title, 10.0), out


def test_one_line_that_is_overwritten() -> None:
    live, out = line()
    times = np.arange(1, 101, dtype=np.int64) * MS
    live.update(times, 1.0, 2, 8, 120.0)
    live.update(times[:50], 0.5, 1, 3, None)
    live.done()
    _, first, second, wiped = out.getvalue().split("\r\x1b[2K")
    assert first == "run  1/10 s  100 of 120 req/s  p50 50.0 p99 99.0 ms  2 errors  8 in flight"
    assert second == "run  2/10 s  100 req/s  p50 25.0 p99 50.0 ms  3 errors  3 in flight"
    assert wiped == ""
    assert "\n" not in out.getvalue()


def test_an_interval_without_answers() -> None:
    live, out = line()
    live.update(np.empty(0, dtype=np.int64), 1.0, 0, 64, 50.0)
    assert "0.00 of 50.0 req/s  p50 – p99 –" in out.getvalue()


def test_nothing_where_the_output_is_no_terminal() -> None:
    live, out = line(terminal=False)
    live.update(np.array([MS]), 1.0, 0, 1, None)
    live.done()
    assert out.getvalue() == ""


def test_a_long_title_gives_way_so_that_the_line_never_wraps() -> None:
    for width in (20, 40, 80, 200):
        live, out = line(width=width, title="onnxruntime gateway HTTP, closed loop, 8 in flight")
        live.update(np.array([MS]), 1.0, 0, 1, None)
        shown = out.getvalue().removeprefix("\r\x1b[2K")
        assert len(shown) < width
    assert "in flight" in shown


def test_many_times_are_looked_at_evenly() -> None:
    live, out = line()
    live.update(np.arange(1_000_000, dtype=np.int64) * 1000, 1.0, 0, 1, None)
    words = out.getvalue().split()
    assert abs(float(words[words.index("p50") + 1]) - 500) < 5
    assert abs(float(words[words.index("p99") + 1]) - 990) < 5
