"""A short table for a pull request: numbers, verdicts, and why a run must not be used."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.measure.summary import Row
from loadtest.report.digest import Digest, LoadDigest
from loadtest.report.notes import general_notes, highest_rate, notes, verdict_sentences
from loadtest.results.search import SearchResult
from loadtest.statistics.estimate import Estimate
from loadtest.units import MISSING, millisecond_interval, milliseconds, per_second

_TITLES = ("target", "requests/s", "p50 ms", "95 % CI", "p90", "p95", "p99", "errors")
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>|~#"})


def markdown(digest: Digest) -> str:
    """The report in GitHub's Markdown."""
    return "\n".join(_lines(digest)) + "\n"


def escaped(text: str) -> str:
    """``text`` on one line, shown as it is."""
    return " ".join(text.translate(_SPECIAL).split())


def _lines(digest: Digest) -> Iterator[str]:
    report, environment = digest.report, digest.report.environment
    yield f"### {escaped(report.model)} {escaped(report.version)}".rstrip() + " under load"
    yield ""
    if not digest.valid:
        yield "**INVALID: these numbers must not be used**; the reasons are below."
        yield ""
    if report.search is not None:
        yield _search(report.search)
        yield ""
    for one in digest.loads:
        yield from _load(one)
    yield from (f"- {escaped(note.text)}" for note in general_notes(report))
    sha = f", commit {escaped(environment.git_sha[:12])}" if environment.git_sha else ""
    yield (
        f"<sub>Response times from when a request was due; {report.seconds:g} s for each target and load; "
        f"{escaped(environment.cpu)}, {environment.cores} cores{sha}. In parentheses: too few samples.</sub>"
    )


def _load(one: LoadDigest) -> Iterator[str]:
    yield f"**{escaped(one.load.title)}**"
    yield ""
    yield f"| {' | '.join(_TITLES)} |"
    yield "|---|" + "---:|" * (len(_TITLES) - 1)
    for row in one.rows:
        yield f"| {' | '.join(_cells(row))} |"
    yield ""
    said = [note.text for note in notes(one.rows) if note.kind != "information"]
    sentences = [f"- {escaped(sentence)}" for sentence in (*verdict_sentences(one), *said)]
    yield from sentences
    if sentences:
        yield ""


def _cells(row: Row) -> Iterator[str]:
    failed = sum(row.errors.values())
    yield escaped(row.name) + (" **INVALID**" if row.invalid else "")
    yield per_second(row.throughput.value if row.throughput else None)
    yield _percentile(row.median)
    yield millisecond_interval(row.median.interval if row.median else None)
    yield from (_percentile(row.response.percentiles.get(share)) for share in (0.9, 0.95, 0.99))
    yield f"{failed:,}" if row.requests or failed else MISSING


def _percentile(estimate: Estimate | None) -> str:
    text = milliseconds(estimate.value if estimate else None)
    return text if estimate is None or estimate.enough else f"({text})"


def _search(found: SearchResult) -> str:
    return f"**Highest rate of {escaped(found.target)} with {escaped(found.slo)}: {highest_rate(found)}.**"
