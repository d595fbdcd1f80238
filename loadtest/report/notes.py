"""Sentences about a result that the reader must know: what failed, and why a number may not be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadtest.report.units import milliseconds
from loadtest.results import Report
from loadtest.summary import Row

# Above this share of one core the generator, not the server, may set the numbers.
_BUSY_GENERATOR = 0.8
# Above this share of the machine's CPU time, what else ran on the host is in the numbers.
_STOLEN_CPU = 0.05


def failures(rows: Sequence[Row]) -> Iterator[str]:
    """Errors by kind, and loads that a target could not bear."""
    for row in rows:
        if row.errors:
            kinds = ", ".join(f"{count:,} × {kind}" for kind, count in row.errors.items())
            yield f"Errors of {row.name}: {kinds}"
        if row.problem and not row.target.problem:
            yield f"{row.name}: {row.problem}"


def doubts(rows: Sequence[Row]) -> Iterator[str]:
    """Reasons why numbers of one load may be the tester's instead of the server's."""
    if busy := [row.name for row in rows if row.generator_cpu > _BUSY_GENERATOR]:
        yield f"above {_BUSY_GENERATOR:.0%} of a core the numbers measure the tester too: {', '.join(busy)}"
    late = [row for row in rows if row.send_lag and row.median and row.send_lag > row.median]
    if late:
        worst = max(late, key=lambda row: row.send_lag or 0)
        yield (
            f"the machine was too busy to send on time ({worst.name}: {milliseconds(worst.send_lag)} ms late at p99); "
            "response times include that"
        )


def general_doubts(report: Report) -> Iterator[str]:
    """Reasons why the whole result may not be what it seems."""
    if report.interrupted:
        yield "interrupted; the numbers cover what was measured until then"
    if report.stolen_cpu > _STOLEN_CPU:
        yield f"other guests of the host took {report.stolen_cpu:.0%} of this machine's CPU time meanwhile"
