"""The load generator's own limits on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from loadtest.results.report import Calibration
from loadtest.units import milliseconds, per_second


def calibration_table(calibrations: Sequence[Calibration]) -> Table:
    """One line a transport."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("transport")
    for title in ("ceiling, req/s", "floor, p50 ms", "floor, p99 ms", "lag at half, p99 ms"):
        table.add_column(title, justify="right")
    for one in calibrations:
        times = (one.floor_p50, one.floor_p99, one.send_lag_p99)
        table.add_row(one.transport, per_second(one.ceiling), *map(milliseconds, times))
    return table
