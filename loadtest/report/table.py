"""The report on a terminal: one table a load, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.report.notes import doubts, failures, general_doubts
from loadtest.report.units import MISSING, millisecond_interval, milliseconds, per_second
from loadtest.results import ClosedLoop, OpenLoop, Report
from loadtest.summary import Row, summarise, verdict

_WIDTH = 80


def report_tables(report: Report) -> Group:
    """Everything that ``report`` says, phase by phase."""
    return Group(*_parts(report))


def _parts(report: Report) -> Iterator[RenderableType]:
    machine = report.machine
    yield Text(f"{report.model} {report.version}: {machine.cpu}, {machine.cores} cores shared by servers and tester")
    yield Text(f"{report.seconds:g} s for each target and load, seed {report.seed}", style="dim")
    for phase in report.phases:
        rows = summarise(report, phase)
        yield Text()
        yield Text(phase.title, style="bold")
        yield _table(rows)
        yield Text()
        if sentence := verdict(rows):
            yield Text(sentence)
        yield from _notes(rows, phase)
    for target in report.targets:
        if target.problem:
            yield Text(f"✗ {target.name}: {target.problem}", style="red")
    for note in general_doubts(report):
        yield Text(f"Warning: {note}", style="yellow")


def _table(rows: list[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, width=_WIDTH, header_style="bold")
    table.add_column("backend", overflow="fold")
    table.add_column("path", no_wrap=True)
    for title in ("req/s", "p50 ms", "95 % CI", "p90", "p95", "p99", "errors"):
        table.add_column(title, justify="right", no_wrap=True)
    said = ""
    for row in rows:
        target = row.target
        numbers = _numbers(row) if len(row.response_times) else [MISSING] * 6
        errors = Text("✗", style="red") if row.problem else f"{row.error_count:,}"
        name, said = ("" if target.backend == said else target.backend), target.backend
        table.add_row(name, f"{target.via} {target.protocol}", *numbers, errors)
    return table


def _numbers(row: Row) -> list[str]:
    interval = millisecond_interval(row.median_interval)
    tail = [milliseconds(value) for value in (row.p90, row.p95, row.p99)]
    return [per_second(row.throughput), milliseconds(row.median), interval, *tail]


def _notes(rows: list[Row], phase: ClosedLoop | OpenLoop) -> Iterator[Text]:
    busiest = max(rows, key=lambda row: row.generator_cpu)
    lags = [row.send_lag for row in rows if row.send_lag is not None]
    lag = f", sent at most {milliseconds(max(lags))} ms late (p99)" if isinstance(phase, OpenLoop) and lags else ""
    yield Text(
        f"The load generator used up to {busiest.generator_cpu:.0%} of one core ({busiest.name}){lag}.", style="dim"
    )
    for note in failures(rows):
        yield Text(f"✗ {note}", style="red")
    for note in doubts(rows):
        yield Text(f"Warning: {note}", style="yellow")
