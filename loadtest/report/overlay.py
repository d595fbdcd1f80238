"""Several result files on one page: their spectra and medians over each other, and what changed since the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from loadtest.report.charts.medians import medians
from loadtest.report.charts.series import COLOURS, Series, joined, legend
from loadtest.report.charts.spectrum import spectrum
from loadtest.report.compare_runs import Run, values, verdict_of
from loadtest.report.differences import Difference, differences
from loadtest.report.page.environment import summary
from loadtest.report.page.numbers import numbers
from loadtest.report.page.shell import cell, drawn, explanation, render, save, table


def save_overlay(runs: Sequence[Run], path: Path) -> None:
    """Write the page.

    Raises:
        ResultsError: the directory or the disk does not take it.
    """
    save(render_overlay(runs), path)


def render_overlay(runs: Sequence[Run]) -> str:
    """The page."""
    return render(f"{len(runs)} runs compared", _parts(runs))


def _parts(runs: Sequence[Run]) -> Iterator[str]:
    yield f"<h1>{len(runs)} runs <small>{escape(', '.join(run.label for run in runs))}</small></h1>"
    for run in runs:
        if not run.digest.valid:
            yield (
                f'<div class="banner"><b>INVALID</b>: the numbers of {escape(run.label)} must not be used; '
                "its own page says why.</div>"
            )
    first, *others = runs
    for other in others:
        yield _changes(first, other)
    specs = {one.load.spec: one.load.title for run in runs for one in run.digest.loads}
    yield from (_load(title, _series(runs, spec)) for spec, title in specs.items())
    for run in runs:
        yield f"<section><h2>{escape(run.label)}</h2>{summary(run.digest.report)}</section>"
    yield explanation()


def _changes(first: Run, other: Run) -> str:
    found = list(differences(first.digest, other.digest))
    titles = ("target", "load", "metric", "before", "after", "ratio", "difference")
    head = f"<h2>{escape(other.label)} against {escape(first.label)}</h2>"
    body = table(titles, map(_change, found)) if found else "<p>No target and load in common.</p>"
    hint = '<p class="soft">Times in ms, throughput in requests/s. Intervals that overlap show no difference.</p>'
    return f"<section>{head}{body}{hint if found else ''}</section>"


def _change(one: Difference) -> list[str]:
    look = ("bad" if one.loss > 0 else "better") if one.detected else "soft"
    before, after = values(one)
    return [
        cell(one.target),
        cell(one.load, "number"),
        cell(one.metric, "number"),
        cell(before, "number", one.shown(one.old)),
        cell(after, "number", one.shown(one.new)),
        cell(f"{one.ratio:.3g}", "number"),
        cell(verdict_of(one), f"number {look}"),
    ]


def _load(title: str, series: Sequence[Series]) -> str:
    names = legend(series)
    return (
        f"<section><h2>{escape(title)}</h2>{numbers(series)}"
        + drawn("Median with its 95 % confidence interval, and reach to p99", medians(series))
        + drawn("Percentile spectrum: response time; service time dotted where it differs", spectrum(series), names)
        + "</section>"
    )


def _series(runs: Sequence[Run], spec: str) -> list[Series]:
    """A colour for each line while colours last, else one a run."""
    rows = [(n, run, row) for n, run in enumerate(runs) for load, row in run.digest.rows() if load.spec == spec]
    few = len(rows) <= COLOURS
    both = len({row.target.via for _, _, row in rows}) > 1
    return [
        Series(
            f"{run.label} · {row.name}",
            joined((f"c{(index if few else number) % COLOURS}", row.target.via if both else "")),
            row,
        )
        for index, (number, run, row) in enumerate(rows)
    ]
