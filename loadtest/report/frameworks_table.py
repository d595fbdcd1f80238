"""The comparison of frameworks on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadtest.report.units import MISSING, millisecond_interval, milliseconds, per_second
from loadtest.scenarios.frameworks import FrameworksReport


def frameworks_table(report: FrameworksReport) -> Group:
    """One line a framework, then what went wrong if anything did; the verdict is not in it."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for title in ("framework", "version", "device"):
        table.add_column(title)
    for title in ("p50 ms", "95 % CI of p50", "p90", "p99", "runs/s"):
        table.add_column(title, justify="right")
    for one in report.frameworks:
        table.add_row(
            one.framework,
            one.version or MISSING,
            one.device or MISSING,
            milliseconds(one.median),
            millisecond_interval(one.median_interval),
            milliseconds(one.p90),
            milliseconds(one.p99),
            per_second(1 / one.median) if one.median else MISSING,
        )
    machine = report.machine
    return Group(
        Text(f"{report.model}: {report.inferences:,} inferences, batch {report.batch}, {report.threads} CPU thread(s)"),
        Text(f"{machine.cpu}, {machine.cores} cores, seed {report.seed}", style="dim"),
        Text(),
        table,
        Text(),
        *(Text(f"✗ {one.framework}: {one.problem}", style="red") for one in report.frameworks if one.problem),
        *([Text("Interrupted: the numbers cover what was measured until then.", style="yellow")] * report.interrupted),
    )
