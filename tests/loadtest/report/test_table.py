from __future__ import annotations

import re

import msgspec
import pytest
from rich.console import Console
from support.load_reports import make_digest, make_report, make_search, with_invalid, with_target

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.digest import Digest
from loadtest.report.table import report_tables

ONE = ClosedLoop(concurrency=1)


def printed(digest: Digest, *, colour: bool = False) -> str:
    console = Console(width=80, force_terminal=colour, color_system="standard" if colour else None)
    with console.capture() as capture:
        console.print(report_tables(digest))
    return capture.get()


def test_table_fits_80_columns_and_cuts_nothing_off() -> None:
    text = printed(with_invalid(make_digest()))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in ("digits-mlp 1: Some CPU", "arrivals 11", "onnxruntime", " gateway HTTP", "Closed loop, 64 in flight"):
        assert part in text


def test_numbers_of_a_row_stand_in_its_line() -> None:
    digest = make_digest(make_report(loads=(ONE,)))
    row = digest.loads[0].rows[0]
    line = next(line for line in printed(digest).splitlines() if line.startswith(" gateway HTTP"))
    cells = line.removeprefix(" gateway HTTP").split()
    assert cells[0] == f"{row.throughput.value:.0f}"  # type: ignore[union-attr]
    assert float(cells[1]) == pytest.approx(row.median.value * 1000, rel=0.01)  # type: ignore[union-attr]
    assert [float(cell) for cell in cells[3:6]] == pytest.approx(
        [row.response.percentiles[share].value * 1000 for share in (0.9, 0.95, 0.99)], rel=0.01
    )
    assert cells[6] == "0"


def test_percentiles_with_too_few_samples_are_in_parentheses_and_grey() -> None:
    report = make_report(loads=(ONE,))
    target = report.targets[0]
    short = with_target(report, 0, blocks=(msgspec.structs.replace(target.blocks[0], repetition=0),))
    digest = make_digest(short)
    assert len(digest.loads[0].rows[0].response_times) == 620
    line = next(line for line in printed(digest).splitlines() if line.startswith(" gateway HTTP"))
    assert re.search(r" \(\d\.\d\d\) +0$", line)
    assert len(re.findall(r"\(", line)) == 1
    assert "Grey numbers (in parentheses" in printed(digest)
    assert "\x1b[90m(" in printed(digest, colour=True)
    assert "Grey" not in printed(
        make_digest(make_report(loads=(ONE,), seed=1), response=digest.loads[0].rows[1].service)
    )


def test_service_times_stand_beside_response_times_where_they_differ() -> None:
    assert "service time" not in printed(make_digest(make_report(loads=(ClosedLoop(concurrency=64),))))
    text = printed(make_digest(make_report(loads=(Poisson(rate=300.0),))))
    assert text.count("   service time") == 3
    assert "Service time runs from" in text


def test_invalid_is_said_without_colour_and_red_with_it() -> None:
    digest = with_invalid(make_digest())
    text = printed(digest)
    assert " gateway HTTP ✗" in text
    assert "✗ INVALID onnxruntime gateway HTTP: sent 4.2 ms late at p99" in text
    assert "INVALID means" in text
    assert "\x1b[1;31m✗ INVALID" in printed(digest, colour=True)
    assert "INVALID" not in printed(make_digest())


def test_failures_and_problems_are_shown() -> None:
    report = with_target(make_report(loads=(ONE,), interrupted=True), 1, blocks=(), problem="connect: refused")
    text = " ".join(printed(make_digest(report)).split())
    assert "✗ onnxruntime direct HTTP: connect: refused." in text
    assert "direct HTTP – – – – – – –" in text
    assert "14 × HTTP 503 (“no healthy <backend> is left”)" in text
    assert "Warning: Interrupted" in text


def test_verdict_is_printed() -> None:
    assert "1.25 times as fast" in printed(make_digest(make_report(loads=(ONE,))))


def test_a_target_that_is_not_named_for_its_backend_keeps_its_name() -> None:
    report = with_target(make_report(loads=(ONE,)), 0, name="http://127.0.0.1:9000/v2", backend="127.0.0.1:9000")
    assert "http://127.0.0.1:9000" in printed(make_digest(report))


def test_answer_of_a_search_stands_above_the_tables() -> None:
    text = " ".join(printed(make_digest(make_report(loads=(ONE,), search=make_search()))).split())
    answer = "Highest rate of onnxruntime gateway HTTP with p99<50ms,errors<0.1%: between 325 and 350 requests/s"
    assert text.index(answer) < text.index("Closed loop")
    assert "after 8 trials: the rates are 8 % apart" in text
