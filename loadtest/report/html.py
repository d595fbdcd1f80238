"""The report as one page that needs no network: everything, styles and pictures, is inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from loadtest.report.charts import medians, spectrum, swatch
from loadtest.report.notes import doubts, failures, general_doubts
from loadtest.report.units import MISSING, millisecond_interval, milliseconds, per_second
from loadtest.results import ClosedLoop, OpenLoop, Report
from loadtest.summary import Row, summarise, verdict

_TITLES = ("", "backend", "via", "protocol", "req/s", "p50 ms", "95 % CI", "p90", "p95", "p99", "errors", "tester")
_EXPLANATION = """
<p><b>Response time</b> runs from the moment a request was due to its last byte. In the closed loop a request is due
when its caller is free; in the open loop when the schedule says so, however busy the server is.</p>
<p><b>95 % CI</b> is the order-statistic interval of the median over the repetitions. Two targets whose intervals
overlap are not told apart. A percentile appears once there are enough samples for it: 64 for p90, 130 for p95,
662 for p99.</p>
<p><b>Tester</b> is the share of one core that the load generator used in its busiest block. It shares the machine
with the servers. Errors are counted and are no part of any response time.</p>
"""


def save_page(report: Report, path: Path) -> None:
    """Write the page for ``report``."""
    path.write_text(render_page(report), encoding="utf-8")


def render_page(report: Report) -> str:
    """The page for ``report``."""
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    title = f"{escape(report.model)} under load"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body><main>" + "\n".join(_parts(report)) + "</main></body></html>\n"
    )


def _parts(report: Report) -> Iterator[str]:
    yield f"<h1>{escape(report.model)} <small>version {escape(report.version)}, under load</small></h1>"
    yield from (f'<p class="warning">{escape(note.capitalize())}.</p>' for note in general_doubts(report))
    problems = [target for target in report.targets if target.problem]
    if problems:
        items = "".join(f"<li><b>{escape(target.name)}</b>: {escape(target.problem)}</li>" for target in problems)
        yield f'<div class="warning">Not measured, or not to the end:<ul>{items}</ul></div>'
    yield _facts(report)
    backends = list(dict.fromkeys(target.backend for target in report.targets))
    for phase in report.phases:
        yield from _phase(report, phase, backends)
    yield f'<section class="notes"><h2>How to read this</h2>{_EXPLANATION}</section>'


def _facts(report: Report) -> str:
    machine = report.machine
    servers = dict.fromkeys((target.backend, target.server) for target in report.targets)
    facts = {
        "Machine": f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB",
        "System": f"{machine.system}, Python {machine.python}",
        "Servers": "; ".join(f"{backend}: {server}" for backend, server in servers),
        "Measured": f"{datetime.fromisoformat(report.started):%Y-%m-%d %H:%M} UTC, "
        f"{report.seconds:g} s for each target and load, seed {report.seed}",
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl>"


def _phase(report: Report, phase: ClosedLoop | OpenLoop, backends: Sequence[str]) -> Iterator[str]:
    rows = summarise(report, phase)
    yield f"<section><h2>{escape(phase.title)}</h2>"
    if sentence := verdict(rows):
        yield f'<p class="verdict">{escape(sentence)}</p>'
    yield _table(rows, backends)
    yield from (f'<p class="warning">{escape(note)}</p>' for note in (*failures(rows), *doubts(rows)))
    if picture := medians(rows, backends):
        yield f"<h3>Median with its 95 % confidence interval, and reach to p99</h3>{picture}"
    if picture := spectrum(rows, backends):
        yield f"<h3>Percentile spectrum</h3>{picture}{_legend(rows, backends)}"
    yield "</section>"


def _table(rows: Sequence[Row], backends: Sequence[str]) -> str:
    titles = (
        "",
        "backend",
        "via",
        "protocol",
        "requests/s",
        "p50 ms",
        "95 % CI",
        "p90",
        "p95",
        "p99",
        "errors",
        "tester",
    )
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(_table_row(row, backends) for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _table_row(row: Row, backends: Sequence[str]) -> str:
    target = row.target
    measured = len(row.response_times) > 0
    cells = [
        per_second(row.throughput) if measured else MISSING,
        milliseconds(row.median),
        millisecond_interval(row.median_interval),
        *(milliseconds(value) for value in (row.p90, row.p95, row.p99)),
        f"{row.error_count:,}" if measured or row.errors else MISSING,
        f"{row.generator_cpu:.0%}" if measured else MISSING,
    ]
    names = "".join(f"<td>{escape(text)}</td>" for text in (target.backend, target.via, target.protocol))
    numbers = "".join(f'<td class="number">{text}</td>' for text in cells)
    return f"<tr><td>{swatch(row, backends)}</td>{names}{numbers}</tr>"


def _legend(rows: Sequence[Row], backends: Sequence[str]) -> str:
    items = "".join(f"<li>{swatch(row, backends)} {escape(row.name)}</li>" for row in rows if len(row.response_times))
    return f'<ul class="legend">{items}</ul>'
