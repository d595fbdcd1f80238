"""The report as one page that needs no network: everything, styles and pictures, is inside."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from loadtest.load.loads import AnyLoad
from loadtest.report.charts.capacity import capacity, curves
from loadtest.report.charts.series import Series, legend, looks
from loadtest.report.charts.trials import trials
from loadtest.report.digest import Digest
from loadtest.report.notes import general_notes, highest_rate
from loadtest.report.page.environment import environment, summary
from loadtest.report.page.load import load_section
from loadtest.report.page.shell import drawn, explanation, facts, note, render, save
from loadtest.results.search import SearchResult


def save_page(digest: Digest, path: Path) -> None:
    """Write the page.

    Raises:
        ResultsError: the directory or the disk does not take it.
    """
    save(render_page(digest), path)


def render_page(digest: Digest) -> str:
    """The page."""
    return render(f"{digest.report.model} under load", _parts(digest))


def _parts(digest: Digest) -> Iterator[str]:
    report = digest.report
    version = f"version {escape(report.version)}, " if report.version else ""
    yield f"<h1>{escape(report.model)} <small>{version}under load</small></h1>"
    yield _banner(digest)
    yield from (note(said) for said in general_notes(report))
    yield summary(report)
    look = looks(report.targets)
    measured = [(one, [Series(row.name, look[row.name], row) for row in one.rows]) for one in digest.loads]
    if report.search is not None:
        yield _search(report.search)
    yield from (load_section(one, series, report) for one, series in measured)
    yield _across([(one.load, series) for one, series in measured])
    yield environment(report)
    yield explanation()


def _banner(digest: Digest) -> str:
    if digest.valid:
        return ""
    reasons = "".join(
        f"<li><b>{escape(row.name)}</b>, {escape(load.title)}: {escape(reason)}</li>"
        for load, row in digest.rows()
        for reason in row.invalid
    )
    return f'<div class="banner"><b>INVALID</b>: these numbers must not be used.<ul>{reasons}</ul></div>'


def _search(found: SearchResult) -> str:
    known = {"Target": found.target, "SLO": found.slo, "Highest rate": highest_rate(found), "Ended": found.reason}
    picture = drawn("Rates that were tried: d doubling, b bisection, v validation with fresh seeds", trials(found))
    return f"<section><h2>Highest rate that meets the SLO</h2>{facts(known)}{picture}</section>"


def _across(measured: list[tuple[AnyLoad, list[Series]]]) -> str:
    pictures = []
    for share in (0.5, 0.99):
        for kind, found in curves(measured, share).items():
            title = f"p{share * 100:g} response time against throughput, {kind} loads; the knee is ringed"
            names = legend([curve.one for curve in found])
            pictures.append(drawn(title, capacity(found, share), names))
    return f"<section><h2>Latency against throughput</h2>{''.join(pictures)}</section>" if pictures else ""
