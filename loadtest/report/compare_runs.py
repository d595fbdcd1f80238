"""Several result files beside each other on a terminal: the differences of each from the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.report.differences import Difference, differences
from loadtest.report.digest import Digest
from loadtest.units import milliseconds, per_second

_WIDTH = 80


@dataclass(slots=True, frozen=True)
class Run:
    """A result file; ``label`` is its name among those that are compared."""

    label: str
    digest: Digest


def labels(paths: Sequence[Path]) -> list[str]:
    """A short name for each file: its stem, with its folder or number where that is not unique."""
    for names in ([path.stem for path in paths], [f"{path.parent.name}/{path.stem}" for path in paths]):
        if len(set(names)) == len(names):
            return names
    return [f"{index} {path.stem}" for index, path in enumerate(paths, 1)]


def runs_tables(runs: Sequence[Run]) -> Group:
    """A table of differences from the first run for each other run."""
    return Group(*_parts(runs))


def verdict_of(one: Difference) -> str:
    """The difference in words short enough for a table."""
    if not one.detected:
        return "no difference detected"
    return f"{abs(one.loss):.0%} {'worse' if one.loss > 0 else 'better'}"


def values(one: Difference) -> tuple[str, str]:
    """The old and the new number."""
    show = per_second if one.metric == "throughput" else milliseconds
    return show(one.old.value), show(one.new.value)


def _parts(runs: Sequence[Run]) -> Iterator[RenderableType]:
    first, *others = runs
    for other in others:
        found = list(differences(first.digest, other.digest))
        yield Text(f"{other.label} against {first.label}", style="bold")
        yield _table(found) if found else Text("No target and load in common.")
        for run in (first, other):
            if not run.digest.valid:
                yield Text(f"✗ {run.label} is INVALID: its numbers must not be used.", style="red")
        yield Text()
    yield Text("Times in ms, throughput in requests/s. A difference is detected when the 95 %", style="dim")
    yield Text("intervals do not overlap.", style="dim")


def _table(found: Sequence[Difference]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, width=_WIDTH, header_style="bold")
    table.add_column("target", overflow="fold", ratio=1)
    table.add_column("metric", no_wrap=True)
    for title in ("before", "after", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(" difference", no_wrap=True)
    said = ""
    for one in found:
        if one.load != said:
            table.add_row(Text(one.load, style="dim"))
            said = one.load
        style = "" if not one.detected else "red" if one.loss > 0 else "green"
        metric = "req/s" if one.metric == "throughput" else one.metric
        name = f" {one.target}" if one.metric == "p50" else ""
        table.add_row(name, metric, *values(one), f"{one.ratio:.3g}", Text(f" {verdict_of(one)}", style=style))
    return table
