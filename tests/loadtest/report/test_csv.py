from __future__ import annotations

import csv
import io
from collections import Counter

import pytest
from support.load_reports import make_digest, make_report, with_invalid, with_target

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.csv import request_lines, summary_lines, write_csv

LOADS = (ClosedLoop(concurrency=1), Poisson(rate=300.0))


def read(lines: object) -> list[dict[str, str]]:
    file = io.StringIO()
    write_csv(lines, file)  # type: ignore[arg-type]
    file.seek(0)
    return list(csv.DictReader(file, strict=True))


def test_a_line_for_each_target_and_load() -> None:
    digest = with_invalid(make_digest(make_report(loads=LOADS)), 'sent late; by 4 ms, "really"')
    lines = read(summary_lines(digest))
    assert [(line["load"], line["target"]) for line in lines] == [(load.spec, row.name) for load, row in digest.rows()]
    first, row = lines[0], digest.loads[0].rows[0]
    assert float(first["response_p50"]) == row.median.value  # type: ignore[union-attr]
    assert float(first["response_p99_low"]) == row.response.percentiles[0.99].interval.low  # type: ignore[union-attr]
    assert (first["response_p99_enough"], first["response_p99.9_enough"]) == ("yes", "no")
    assert (first["valid"], lines[1]["valid"]) == ("no", "yes")
    assert first["reasons"] == 'sent late; by 4 ms, "really"'
    assert first["offered"] == ""
    assert float(lines[3]["offered"]) == pytest.approx(300)
    assert all(None not in line.values() for line in lines)


def test_a_target_without_times_has_empty_cells() -> None:
    report = with_target(make_report(loads=LOADS[:1]), 0, blocks=(), problem="down")
    line = read(summary_lines(make_digest(report)))[0]
    assert (line["requests"], line["response_p50"], line["throughput"], line["reasons"]) == ("0", "", "", "down")


def test_every_request_has_a_line() -> None:
    digest = make_digest(make_report(loads=LOADS))
    lines = read(request_lines(digest.report))
    counts = Counter((line["load"], line["target"], line["failure"]) for line in lines)
    for load, row in digest.rows():
        assert counts[load.spec, row.name, ""] == row.requests
        assert counts[load.spec, row.name, "HTTP 503"] == row.errors.get("HTTP 503", 0)
    assert sum(counts.values()) == len(lines)


def test_stamps_are_in_order() -> None:
    for line in read(request_lines(make_report(loads=LOADS[1:]))):
        if not line["failure"]:
            stamps = [int(line[f"{name}_ns"]) for name in ("scheduled", "sent", "done")]
            assert stamps == sorted(stamps)
        else:
            assert (line["sent_ns"], line["payload"]) == ("", "")
