from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest.load.seeds import Seeds
from loadtest.measure import gates
from loadtest.measure.settings import Settings
from loadtest.results.file import load_report
from loadtest.results.report import Calibration
from loadtest.scenarios.plan import Plan
from loadtest.scenarios.search import below_ceiling
from loadtest.search.highest_rate import Limits

Invoke = Callable[..., Any]
QUICK = ("--min-duration", "0.5", "--max-duration", "0.5", "--validations", "1", "--backend", "onnxruntime")


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is busy with tests a short trial may well be late; the gates have tests of their own."""
    monkeypatch.setattr(gates, "_CONDITIONS", (gates._measured, gates._errors))


def test_the_cap_ends_the_search_of_a_server_that_meets_everything(loadtest: Invoke, tmp_path: Path) -> None:
    result = loadtest("search", "tiny", "--slo", "errors<50%", "--max-rate", "60", "--start", "30", *QUICK)
    assert result.exit_code == 0, result.output
    assert "Highest rate of onnxruntime gateway HTTP with errors<50%: at least 60.0" in " ".join(result.stdout.split())
    (path,) = (tmp_path / "reports").glob("search-tiny-*.json")
    report = load_report(path)
    assert report.search is not None
    assert (report.search.low, report.search.high, report.search.reason) == (60, None, "--max-rate 60")
    assert len(report.targets[0].blocks) == len(report.search.trials)
    assert "30 requests/s: met" in result.stderr


def test_an_slo_that_cannot_be_met(loadtest: Invoke) -> None:
    result = loadtest("search", "tiny", "--slo", "mean<1ns", "--start", "4", "--json", *QUICK)
    search = json.loads(result.stdout)["search"]
    assert search["low"] == 0
    assert all(trial["met"] is not True for trial in search["trials"])


def test_a_server_that_is_down_is_one_sentence(loadtest: Invoke) -> None:
    target = "dead=oip+http://127.0.0.1:1"
    result = loadtest("search", "tiny", "--slo", "p50<1s", "--target", target, *QUICK[:-2])
    assert result.exit_code == 1
    assert "dead: connect" in result.stderr


@pytest.mark.parametrize(("force", "ceiling"), [(False, 700.0), (True, 5000.0)])
def test_no_rate_is_tried_near_the_testers_own_ceiling(force: bool, ceiling: float) -> None:
    settings = Settings(seconds=1, repetitions=1, timeout=1, most_in_flight=8, seeds=Seeds(1, 2, 3))
    calibration = Calibration(transport="HTTP", ceiling=1000, floor_p50=0.0, floor_p99=0.0)
    plan = Plan(scenario="search", subjects=(), loads=(), settings=settings, calibrations=[calibration], force=force)
    limits = below_ceiling(Limits(ceiling=5000, ceiling_reason="--max-rate"), plan, "HTTP")
    assert limits.ceiling == ceiling
    assert ("70 %" in limits.ceiling_reason) is not force


def test_mlperfs_generator_makes_the_same_load(loadtest: Invoke, tmp_path: Path) -> None:
    result = loadtest(
        "run", "tiny", "--backend", "onnxruntime", "--via", "direct", "--load", "single-stream", "--duration", "0.5",
        "--engine", "mlperf",
    )  # fmt: skip
    assert result.exit_code in (0, 3), result.output
    assert "MLPerf LoadGen" in result.stdout
    (path,) = (tmp_path / "reports").glob("run-tiny-*.json")
    (test,) = load_report(path).mlperf
    assert test.summary is not None
    assert test.summary.queries > 10
    assert Path(test.summary.directory, "mlperf_log_summary.txt").exists()


def test_mlperfs_generator_knows_no_other_load(loadtest: Invoke) -> None:
    result = loadtest("run", "tiny", "--backend", "onnxruntime", "--concurrency", "8", "--engine", "mlperf")
    assert result.exit_code == 2
    assert "MLPerf LoadGen knows only single-stream" in result.stderr


def test_a_cluster_that_is_not_there_is_one_sentence(loadtest: Invoke) -> None:
    result = loadtest("run", "tiny", "--backend", "onnxruntime", "--rate", "20", "--ray", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.output
