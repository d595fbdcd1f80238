"""The comparison of frameworks on a terminal: what ran, how fast at each batch size, what went wrong, the verdict."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.frameworks.results import BatchResult, FrameworkResult, FrameworksReport
from loadtest.frameworks.verdict import times
from loadtest.statistics.estimate import Estimate
from loadtest.units import MISSING, millisecond_interval, milliseconds, per_second

_MIB = 2**20


def frameworks_table(report: FrameworksReport) -> Group:
    """Everything that the report says, at most 80 columns wide and readable without colour."""
    return Group(*_parts(report))


def _parts(report: FrameworksReport) -> Iterator[RenderableType]:
    environment = report.environment
    yield Text(f"{report.model} {report.version}: {environment.cpu}, {environment.cores} cores")
    sizes = ", ".join(str(batch) for batch in report.batches)
    yield Text(
        f"{report.inferences:,} inferences of each framework at batch {sizes}; threads {report.threads}, "
        f"seed {report.seed}",
        style="dim",
    )
    loaded = [one for one in report.frameworks if one.version]
    if loaded:
        yield Text()
        yield _loading(loaded)
    for batch in report.batches:
        measured = [(one, at) for one in report.frameworks if (at := one.at(batch)) is not None]
        if measured:
            yield Text()
            yield Text(f"batch {batch}", style="bold")
            yield _times(sorted(measured, key=lambda entry: entry[1].p50.value))
    yield Text()
    yield from _notes(report)


def _loading(frameworks: list[FrameworkResult]) -> Table:
    table = _table("framework", "version")
    for title in ("cold start s", "peak MiB", "max diff"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("runs", overflow="fold")
    for one in frameworks:
        table.add_row(
            one.framework,
            one.version.partition("+")[0],
            MISSING if one.cold_start is None else f"{one.cold_start:.2f}",
            MISSING if one.memory_peak is None else f"{one.memory_peak / _MIB:,.0f}",
            MISSING if one.largest_difference is None else f"{one.largest_difference:.1g}",
            one.runs,
        )
    return table


def _times(measured: list[tuple[FrameworkResult, BatchResult]]) -> Table:
    table = _table("framework")
    for title in ("p50 ms", "95 % CI", "p90", "p99", "rows/s", "times as long"):
        table.add_column(title, justify="right", no_wrap=True)
    for one, at in measured:
        table.add_row(
            one.framework,
            _percentile(at.p50),
            millisecond_interval(at.p50.interval),
            _percentile(at.p90),
            _percentile(at.p99),
            per_second(at.rows_per_second.value),
            times(at.ratio) if at.ratio is not None else "1",
        )
    return table


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title)
    return table


def _percentile(estimate: Estimate) -> Text | str:
    text = milliseconds(estimate.value)
    return text if estimate.enough else Text(f"({text})", style="bright_black")


def _notes(report: FrameworksReport) -> Iterator[Text]:
    for one in report.frameworks:
        if one.absent:
            yield Text(f"{one.framework} takes no part: {one.absent}", style="dim")
    if any(not estimate.enough for one in report.frameworks for at in one.batches for estimate in (at.p90, at.p99)):
        yield Text("In brackets: too few inferences for that percentile.", style="dim")
    for one in report.frameworks:
        if one.problem:
            yield Text(f"✗ {one.framework}: {one.problem}", style="red")
    for warning in report.warnings:
        yield Text(f"Warning: {warning}", style="yellow")
    for reason in report.invalid:
        yield Text(f"✗ INVALID: {reason}", style="bold red")
    if report.interrupted:
        yield Text("Interrupted: the numbers cover what was measured until then.", style="yellow")
    if report.verdict:
        yield Text(report.verdict, style="bold")
