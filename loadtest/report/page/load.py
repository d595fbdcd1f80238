"""One load on the page: verdict, numbers, what must be known about them, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from loadtest.report.charts.breakdown import stacked_times
from loadtest.report.charts.medians import medians
from loadtest.report.charts.series import Series, legend
from loadtest.report.charts.spectrum import spectrum
from loadtest.report.charts.timeline import timeline
from loadtest.report.digest import LoadDigest
from loadtest.report.notes import mlperf_notes, notes, verdict_sentences
from loadtest.report.page.numbers import numbers
from loadtest.report.page.shell import drawn, note
from loadtest.results.report import Report


def load_section(one: LoadDigest, series: Sequence[Series], report: Report) -> str:
    """The section of one load."""
    return f"<section>{''.join(_parts(one, series, report))}</section>"


def _parts(one: LoadDigest, series: Sequence[Series], report: Report) -> Iterator[str]:
    yield f"<h2>{escape(one.load.title)}</h2>"
    yield from (f'<p class="verdict">{escape(sentence)}</p>' for sentence in verdict_sentences(one))
    if one.verdict.method:
        yield f'<p class="soft method">{escape(one.verdict.method)}</p>'
    yield numbers(series)
    yield from (note(said) for said in (*notes(one.rows), *mlperf_notes(one, report)))
    names = legend(series) if len(series) > 1 else ""
    yield drawn("Median with its 95 % confidence interval, and reach to p99", medians(series) if names else "")
    yield drawn("Percentile spectrum: response time; service time dotted where it differs", spectrum(series), names)
    yield drawn("Over time", timeline(series), names)
    yield drawn("Where the time went, as the servers say", stacked_times(series))
