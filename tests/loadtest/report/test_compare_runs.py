from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from support.load_reports import make_digest, make_report, with_invalid

from loadtest.load.loads import ClosedLoop
from loadtest.report.compare_runs import Run, labels, runs_tables
from loadtest.report.overlay import render_overlay

LOADS = (ClosedLoop(concurrency=8),)


@pytest.fixture
def runs() -> list[Run]:
    old = make_digest(make_report(loads=LOADS))
    slow = make_digest(make_report(loads=LOADS, speed=0.75))
    return [
        Run("old", old),
        Run("same", make_digest(make_report(loads=LOADS, seed=3))),
        Run("slow", with_invalid(slow)),
    ]


def test_labels_are_short_and_unique() -> None:
    assert labels([Path("x/a.json"), Path("x/b.json")]) == ["a", "b"]
    assert labels([Path("x/a.json"), Path("y/a.json")]) == ["x/a", "y/a"]
    assert labels([Path("x/a.json"), Path("x/a.json")]) == ["1 a", "2 a"]


def test_table_of_differences(runs: list[Run]) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(runs_tables(runs))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    same, slow = text.split("slow against old")
    assert same.startswith("same against old")
    assert "33% worse" in slow or "34% worse" in slow
    assert "no difference detected" in same
    assert "worse" not in "".join(line for line in same.splitlines() if "req/s" in line)
    assert "✗ slow is INVALID" in slow
    assert "INVALID" not in same


def test_page_lays_runs_over_each_other(runs: list[Run]) -> None:
    page = render_overlay(runs)
    assert page.count('class="chart"') == 2
    for run in runs:
        for row in run.digest.loads[0].rows:
            assert f"{run.label} · {row.name}".replace("<", "&lt;").replace(">", "&gt;") in page
    assert '<div class="banner"><b>INVALID</b>: the numbers of slow' in page
    assert "no difference detected" in page


def test_runs_with_nothing_in_common() -> None:
    other = make_digest(make_report(loads=(ClosedLoop(concurrency=3),)))
    pair = [Run("a", make_digest(make_report(loads=LOADS))), Run("b", other)]
    assert "No target and load in common" in render_overlay(pair)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(runs_tables(pair))
    assert "No target and load in common" in capture.get()
