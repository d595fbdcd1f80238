"""Sentences about a result that the reader must know: what failed, and why a number may not be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from loadtest.measure.summary import Row
from loadtest.report.digest import LoadDigest
from loadtest.results.report import Report
from loadtest.results.search import SearchResult
from loadtest.statistics.estimate import Estimate
from loadtest.units import listed, milliseconds, per_second, percent, percentile_name

# Above this share of the machine's CPU time, what else ran on the host is in the numbers.
_STOLEN_CPU = 0.05
_SHARES_OF_LOADGEN = (0.5, 0.9, 0.99)
_QUOTED = 120  # characters of a server's words


class Note(NamedTuple):
    """One sentence; ``kind`` says how loud."""

    kind: Literal["invalid", "failure", "warning", "information"]
    text: str


def notes(rows: Sequence[Row]) -> Iterator[Note]:
    """What must be said about the rows of one load, the most important first."""
    yield from _invalid(rows)
    for row in rows:
        yield from _failures(row)
    for first, sentence in _told_once([(row.name, warning) for row in rows for warning in row.warnings]):
        yield Note("warning", f"{first}: {sentence}")
    yield from _settling(rows)
    yield from _generator(rows)


def general_notes(report: Report) -> Iterator[Note]:
    """Why the whole result may not be what it seems."""
    if report.interrupted:
        yield Note("warning", "Interrupted: the numbers cover what was measured until then.")
    if report.stolen_cpu > _STOLEN_CPU:
        yield Note(
            "warning",
            f"Other guests of the host took {percent(report.stolen_cpu)} of this machine's CPU time meanwhile.",
        )


def mlperf_notes(one: LoadDigest, report: Report) -> Iterator[Note]:
    """What LoadGen measured itself of the same requests, and its ratio to what stands in the table."""
    for row in one.rows:
        for result in report.mlperf:
            summary = result.summary
            if summary is None or (result.target, result.load) != (row.name, one.load.spec):
                continue
            found = [
                f"{percentile_name(share)} {milliseconds(value)} ms{_ratio(value, row.response.percentiles.get(share))}"
                for share, value in summary.percentiles.items()
                if share in _SHARES_OF_LOADGEN
            ]
            verdict = "VALID" if summary.valid else "INVALID"
            yield Note(
                "information",
                f"MLPerf LoadGen {summary.version}, {summary.scenario}: {verdict}; {', '.join(found)}. "
                f"Logs: {summary.directory}",
            )


def _ratio(theirs: float, ours: Estimate | None) -> str:
    return f" ({theirs / ours.value:.3f} of ours)" if ours is not None and ours.value else ""


def highest_rate(found: SearchResult) -> str:
    """The answer of a search in words."""
    if found.low <= 0 and found.high is None:
        return "not found, no trial was valid"
    if found.low <= 0:
        return "no rate that was tried met the SLO"
    if found.high is None:
        return f"at least {per_second(found.low)} requests/s"
    return f"between {per_second(found.low)} and {per_second(found.high)} requests/s"


def verdict_sentences(one: LoadDigest) -> Iterator[str]:
    """The verdict in words, which targets take no part, and why where nothing else says so."""
    yield from (_ended(metric.sentence) for metric in one.verdict.metrics)
    told = {row.name for row in one.rows if row.invalid or row.problem}
    for name, reason in one.verdict.left_out.items():
        if name not in told:
            yield f"Not compared: {name} ({reason})."
    # The best of the others is not the best of all.
    if one.verdict.metrics and (known := [name for name in one.verdict.left_out if name in told]):
        yield f"Not compared, for the reasons that are given: {listed(known)}."


def _invalid(rows: Sequence[Row]) -> Iterator[Note]:
    """One sentence for each condition that failed, however many targets it failed for."""
    failed: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        for gate in row.gates:
            if not gate.passed:
                failed.setdefault(gate.name, []).append((row.name, gate.reason))
    for found in failed.values():
        for first, sentence in _told_once(found):
            yield Note("invalid", f"INVALID {first}: {sentence}")


def _told_once(found: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The first target's name and sentence, which names the others of which the like is true."""
    if found:
        (first, reason), *others = found
        count = f"{len(others)} others" if len(others) > 1 else "one other"
        also = f"; {count} too: {', '.join(dict.fromkeys(name for name, _ in others))}" if others else ""
        yield first, _ended(reason.rstrip(".") + also)


def _failures(row: Row) -> Iterator[Note]:
    if row.problem:
        yield Note("failure", f"{row.name}: {_ended(row.problem)}")
    if row.errors:
        kinds = ", ".join(
            f"{count:,} × {kind}{_quoted(row.details.get(kind, ''))}" for kind, count in row.errors.items()
        )
        yield Note("failure", f"{row.name}: {percent(row.error_share)} of its requests failed: {_ended(kinds)}")


def _settling(rows: Sequence[Row]) -> Iterator[Note]:
    measured = [row for row in rows if row.requests]
    parts = []
    if found := [row.warm_up for row in measured if row.warm_up is not None]:
        low, high = (f"{value:.2g}" for value in (min(found), max(found)))
        span = low if low == high else f"{low} to {high}"
        parts.append(f"warm-up left out: {span} s" if max(found) else "no warm-up to leave out")
    if restless := [row.name for row in measured if row.warm_up is None]:
        parts.append(f"still not settled at the end: {', '.join(restless)}")
    if measured:
        steady, unknown = (sum(row.steady is state for row in measured) for state in (True, None))
        known = len(measured) - unknown
        parts += [f"times steady: {'all' if steady == known == len(measured) else f'{steady} of {known}'}"] * bool(
            known
        )
        parts += [f"too few times to test steadiness: {unknown}"] * bool(unknown)
        text = "; ".join(parts)
        yield Note("information", _ended(text[0].upper() + text[1:]))


def _generator(rows: Sequence[Row]) -> Iterator[Note]:
    measured = [row for row in rows if row.requests]
    if not measured:
        return
    busiest = max(measured, key=lambda row: row.generator_cpu)
    lags = [row.send_lag[0.99] for row in measured if 0.99 in row.send_lag]
    late = f", and sent at most {milliseconds(max(lags))} ms late (p99)" if lags else ""
    yield Note(
        "information",
        f"The load generator used up to {percent(busiest.generator_cpu)} of one core ({busiest.name}){late}.",
    )


def _quoted(words: str) -> str:
    line = " ".join(words.split())
    if not line:
        return ""
    return f" (“{line}”)" if len(line) <= _QUOTED else f" (“{line[:_QUOTED]}…”)"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
