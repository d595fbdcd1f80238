"""The report on a terminal: one table a load, at most 80 columns wide, readable without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.measure.summary import Row, Times
from loadtest.report import glossary
from loadtest.report.digest import Digest, LoadDigest
from loadtest.report.notes import Note, general_notes, highest_rate, mlperf_notes, notes, verdict_sentences
from loadtest.results.report import Report
from loadtest.statistics.estimate import Estimate
from loadtest.units import MISSING, millisecond_interval, milliseconds, per_second

_WIDTH = 80
_TAIL = (0.9, 0.95, 0.99)
_NOTICEABLE = 0.02  # service times that differ by less from the response times are not shown beside them
_STYLES = {"invalid": "bold red", "failure": "red", "warning": "yellow", "information": "dim"}
_MARKS = {"invalid": "✗ ", "failure": "✗ ", "warning": "Warning: ", "information": ""}


def report_tables(digest: Digest) -> Group:
    """Everything that the report says, load by load."""
    return Group(*_parts(digest))


def _parts(digest: Digest) -> Iterator[RenderableType]:
    yield from _head(digest.report)
    for one in digest.loads:
        yield Text()
        yield Text(one.load.title, style="bold")
        yield _table(one.rows)
        yield Text()
        yield from (_note(note) for note in (*notes(one.rows), *mlperf_notes(one, digest.report)))
        yield from _verdict(one)
    yield Text()
    yield from (_note(note) for note in general_notes(digest.report))
    yield from _explanations(digest)


def _head(report: Report) -> Iterator[Text]:
    environment, seeds = report.environment, report.seeds
    yield Text(f"{report.model} {report.version}".rstrip() + f": {environment.cpu}, {environment.cores} cores")
    until = f", until {report.until}" if report.until else ""
    yield Text(
        f"{report.seconds:g} s for each target and load{until}; seeds: arrivals {seeds.arrivals}, "
        f"samples {seeds.samples}, payloads {seeds.payloads}",
        style="dim",
    )
    if found := report.search:
        yield Text()
        yield Text(f"Highest rate of {found.target} with {found.slo}: {highest_rate(found)}", style="bold")
        yield Text(f"after {len(found.trials)} trials: {found.reason}", style="dim")


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, width=_WIDTH, header_style="bold")
    table.add_column("response time", overflow="fold", ratio=1)
    for title in ("req/s", "p50 ms", "95 % CI", "p90", "p95", "p99", "errors"):
        table.add_column(title, justify="right", no_wrap=True)
    said = ""
    for row in rows:
        backend = row.target.backend
        if backend not in (said, row.name) and row.name.startswith(backend):
            table.add_row(backend)
        said = backend
        table.add_row(*_response(row))
        if differs(row):
            table.add_row(Text("   service time", style="dim"), "", *_times(row.service), "")
        for model, times in row.by_model.items():
            table.add_row(Text(f"   {model}", style="dim"), "", *_times(times), "")
    return table


def differs(row: Row) -> bool:
    """Whether service times say noticeably less than response times."""
    for share in (0.5, 0.99):
        response, service = (times.percentiles.get(share) for times in (row.response, row.service))
        if response and service and response.value - service.value > _NOTICEABLE * response.value:
            return True
    return False


def _response(row: Row) -> list[Text | str]:
    path = row.name.removeprefix(row.target.backend).strip()
    failed = sum(row.errors.values())
    errors = f"{failed:,}" if row.requests or failed else MISSING
    rate = per_second(row.throughput.value if row.throughput else None)
    name = f" {path}" if path else row.name
    return [
        Text(f"{name} ✗", style="red") if row.invalid else name,
        rate,
        *_times(row.response),
        Text(errors, style="red" if failed else ""),
    ]


def _times(times: Times) -> list[Text | str]:
    median = times.percentiles.get(0.5)
    interval = millisecond_interval(median.interval if median else None)
    return [_percentile(median), interval, *(_percentile(times.percentiles.get(share)) for share in _TAIL)]


def _percentile(estimate: Estimate | None) -> Text | str:
    if estimate is None:
        return MISSING
    text = milliseconds(estimate.value)
    return text if estimate.enough else Text(f"({text})", style="bright_black")


def _note(note: Note) -> Text:
    return Text(_MARKS[note.kind] + note.text, style=_STYLES[note.kind])


def _verdict(one: LoadDigest) -> Iterator[Text]:
    yield from (Text(sentence, style="bold") for sentence in verdict_sentences(one))
    if one.verdict.method:
        yield Text(one.verdict.method, style="dim")


def _explanations(digest: Digest) -> Iterator[Text]:
    """Only of the words that this report has."""
    rows = [row for _, row in digest.rows()]
    said = {"Response time": glossary.RESPONSE_TIME}
    if any(differs(row) for row in rows):
        said["Service time"] = glossary.SERVICE_TIME
    shown = [row.response.percentiles.get(share) for row in rows for share in (0.5, *_TAIL)]
    if any(estimate is not None and not estimate.enough for estimate in shown):
        said["Grey"] = glossary.GREY
    if not digest.valid:
        said["INVALID"] = glossary.INVALID
    for word, meaning in said.items():
        yield Text.assemble((f"{word} ", "bold dim"), (meaning, "dim"))
