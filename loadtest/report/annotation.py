"""A run as Grafana marks it on the time axis of its dashboards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Any

from loadtest.report.digest import Digest
from loadtest.units import milliseconds, per_second

TAG = "loadtest"
_SHARE = 0.99


def annotation(made: Digest, ended: datetime) -> dict[str, Any]:
    """The body for Grafana's ``POST /api/annotations``: the span from the run's start to ``ended``, and its numbers."""
    report = made.report
    return {
        "time": _milliseconds(datetime.fromisoformat(report.started)),
        "timeEnd": _milliseconds(ended),
        "tags": [TAG, report.scenario, report.model],
        "text": "\n".join(_lines(made)),
    }


def _lines(made: Digest) -> Iterator[str]:
    report = made.report
    yield f"loadtest {report.scenario} {escape(report.model)}"
    for load, row in made.rows():
        p99 = row.response.percentiles.get(_SHARE)
        throughput = row.throughput.value if row.throughput else None
        yield (
            f"{escape(row.name)}, {escape(load.title)}: "
            f"{per_second(throughput)} requests/s, p99 {milliseconds(p99.value if p99 else None)} ms"
        )
    if not made.valid:
        yield "invalid: these numbers must not be used"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
