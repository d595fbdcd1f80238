from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.load_reports import make_digest, make_report, with_invalid

from loadtest.load.loads import ClosedLoop
from loadtest.report.annotation import annotation

MADE = make_digest(make_report(loads=(ClosedLoop(concurrency=1),)))
ENDED = datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)


def test_it_spans_the_run() -> None:
    made = annotation(MADE, ENDED)
    assert timedelta(milliseconds=made["timeEnd"] - made["time"]) == timedelta(minutes=1)
    assert made["timeEnd"] == ENDED.timestamp() * 1000
    assert made["tags"] == ["loadtest", "compare", "digits-mlp"]


def test_it_says_what_came_of_each_target() -> None:
    first, *rows = annotation(MADE, ENDED)["text"].splitlines()
    assert first == "loadtest compare digits-mlp"
    assert len(rows) == 3
    assert all("requests/s, p99 " in row for row in rows)


def test_names_cannot_become_markup() -> None:
    assert "tensorflow &lt;2&gt;" in annotation(MADE, ENDED)["text"]


def test_an_invalid_run_says_so() -> None:
    text = annotation(with_invalid(MADE), ENDED)["text"]
    assert text.endswith("invalid: these numbers must not be used")
