from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest.errors import ResultsError
from model_store.store import ModelStore

Invoke = Callable[..., Any]
ONE = ("run", "tiny", "--backend", "onnxruntime", "--via", "direct", "--duration", "0.3")
MEASURED = (0, 3)


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("unavailable", "HTTP 503"),
        ("garbage", "wrong answer: the backend's answer breaks the protocol"),
        ("wrong-shape", "wrong answer: output 'scores': FP32[1, 6] does not fit the model's FP32[-1, 3]"),
    ],
)
def test_bad_answers_are_found_before_anything_is_timed(loadtest: Invoke, server: Any, mode: str, problem: str) -> None:
    server.mode = mode
    result = loadtest(*ONE, "--concurrency", "1", "--json")
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)["loads"][0]["targets"]
    assert row["problem"].startswith(problem)
    assert row["requests"] == 0


@pytest.mark.parametrize(
    "load", ["constant:50", "bursts:40x4", "steps:40,80", "ramp:20-80", "single-stream", "multi-stream:4", "offline:50"]
)
def test_every_kind_of_load_is_put_on(loadtest: Invoke, load: str) -> None:
    result = loadtest(*ONE, "--load", load, "--json")
    assert result.exit_code in MEASURED, result.output
    (one,) = json.loads(result.stdout)["loads"]
    assert one["targets"][0]["requests"] > 3
    assert not one["targets"][0]["problem"]


def test_a_trace_is_replayed_at_its_own_length(loadtest: Invoke, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp\n" + "\n".join(f"{n / 20}" for n in range(8)))
    result = loadtest("run", "tiny", "--backend", "onnxruntime", "--load", f"trace:{trace}", "--json")
    (one,) = json.loads(result.stdout)["loads"]
    assert one["targets"][0]["requests"] == 8


def test_a_server_is_measured_by_its_url(loadtest: Invoke, server: Any, places: tuple[str, ...]) -> None:
    result = loadtest(
        "run", "tiny", "--target", f"mine=oip+grpc://{server.grpc}", "--payload", "random:3", "--duration", "0.2",
        "--concurrency", "2", "--json", defaults=("--seed", "1,2,3", *places),
    )  # fmt: skip
    assert result.exit_code in MEASURED, result.output
    document = json.loads(result.stdout)
    assert document["loads"][0]["targets"][0]["name"] == "mine"
    assert {method for _, method, _ in server.requests} == {"/inference.GRPCInferenceService/ModelInfer"}


def test_report_renders_a_saved_result_again(loadtest: Invoke, tmp_path: Path) -> None:
    first = loadtest(*ONE, "--rate", "50", "--json")
    (page,) = (tmp_path / "reports").glob("*.html")
    original = page.read_text()
    page.unlink()
    again = loadtest("report", str(page.with_suffix(".json")), "--json", defaults=())
    assert again.exit_code == 0
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert page.read_text() == original


def test_two_results_are_laid_over_each_other(loadtest: Invoke, tmp_path: Path) -> None:
    for name in ("a", "b"):
        loadtest(*ONE, "--concurrency", "1", "--output", str(tmp_path / name))
    files = [str(path) for path in sorted(tmp_path.glob("?/*.json"))]
    page = tmp_path / "both.html"
    result = loadtest("report", *files, "--output", str(page), defaults=())
    assert result.exit_code == 0, result.output
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_every_export_is_written(loadtest: Invoke, tmp_path: Path) -> None:
    exports = [part for form in ("csv", "requests", "markdown", "hdr") for part in ("--export", form)]
    result = loadtest(*ONE, "--concurrency", "1", *exports)
    assert result.exit_code in MEASURED, result.output
    names = {
        "".join(path.suffixes[-2:]) if "requests" in path.name else path.suffix
        for path in (tmp_path / "reports").iterdir()
    }
    assert names == {".json", ".html", ".csv", ".requests.csv", ".md", ".hgrm", ".hlog"}


def test_a_limit_that_is_not_met_fails_and_is_named(loadtest: Invoke) -> None:
    result = loadtest(*ONE, "--concurrency", "1", "--fail-on", "p50<1us")
    assert result.exit_code == 1
    assert "p50<1us: p50 was" in result.stderr


def test_a_result_that_is_worse_than_the_baseline_fails(loadtest: Invoke, tmp_path: Path) -> None:
    loadtest(*ONE, "--concurrency", "1", "--output", str(tmp_path / "old"))
    (baseline,) = (tmp_path / "old").glob("*.json")
    result = loadtest(*ONE, "--concurrency", "1", "--baseline", str(baseline), "--json")
    assert result.exit_code in (0, 1, 3)  # the machine decides; that a regression is found is tested with the baseline


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("compare", "nope"), "does not serve 'nope'; it serves tiny"),
        (("compare", "tiny", "--concurrency", "1,x"), "--concurrency: numbers from 1 to 4096"),
        (("run", "tiny", "--backend", "onnxruntime"), "give --concurrency"),
        (("run", "tiny", "--backend", "nope", "--rate", "1"), "'nope' is not known"),
        (("run", "tiny", "--backend", "onnxruntime", "--rate", "0"), "--rate: requests a second"),
        (("run", "tiny", "--backend", "onnxruntime", "--load", "waves:3"), "waves:3"),
        (("run", "tiny", "--backend", "onnxruntime", "--rate", "9000"), "above 70 %"),
        (("run", "tiny", "--rate", "9"), "run measures one target, this is 3"),
        (("run", "tiny", "--rate", "9", "--fail-on", "p99<<5"), "p99<<5"),
        (("run", "tiny", "--rate", "9", "--until", "soon"), "soon"),
        (("run", "tiny", "--rate", "9", "--seed", "1,2"), "--seed: a number such as 7"),
        (("run", "tiny", "--rate", "9", "--baseline", "none.json"), "none.json"),
        (("run", "tiny", "--rate", "9", "--target", "http://x:1"), "http://x:1"),
        (
            ("run", "tiny", "--backend", "torchserve", "--via", "direct", "--protocol", "grpc", "--rate", "1"),
            "the running stack has no such target",
        ),
        (("search", "tiny", "--slo", "fast"), "fast"),
        (("compare", "tiny", "--restarts", "2"), "--restarts needs --restart"),
        (("overhead", "tiny", "--backend", "nope", "--repetitions", "6"), "'nope' is not known"),
    ],
)
def test_wrong_arguments_are_one_sentence(loadtest: Invoke, arguments: tuple[str, ...], sentence: str) -> None:
    result = loadtest(*arguments)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_no_running_stack(loadtest: Invoke, store: ModelStore, tmp_path: Path) -> None:
    places = ("--run-dir", str(tmp_path / "none"), "--store", str(store.root))
    result = loadtest("compare", "tiny", defaults=places)
    assert result.exit_code == 2
    assert "start one with: gateway up" in result.stderr


def test_unwritable_output(loadtest: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = loadtest("compare", "tiny", "--output", str(tmp_path / "file" / "x"))
    assert result.exit_code == 2
    assert "cannot write results to" in result.stderr


def test_a_disk_that_is_full_at_the_end_costs_no_numbers(loadtest: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(report: object, path: Path) -> None:
        raise ResultsError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("loadtest.commands.carrying_out.save_report", full)
    result = loadtest(*ONE, "--concurrency", "1")
    assert result.exit_code == 2
    assert "onnxruntime" in result.stdout
    assert "req/s" in result.stdout
    assert "No space left on device" in result.stderr


def test_report_of_a_file_that_is_none(loadtest: Invoke, tmp_path: Path) -> None:
    result = loadtest("report", str(tmp_path / "none.json"), defaults=())
    assert result.exit_code == 2
    assert "No such file" in result.stderr


@pytest.mark.parametrize(
    "command", ["compare", "run", "search", "overhead", "scraping", "frameworks", "codecs", "calibrate", "report"]
)
def test_help_shows_an_example(loadtest: Invoke, command: str) -> None:
    result = loadtest(command, "--help", defaults=())
    assert (result.exit_code, result.stdout) == (0, loadtest(command, "-h", defaults=()).stdout)
    assert f"Example: loadtest {command}" in " ".join(result.stdout.split())


def test_overhead_prints_a_table_for_the_readme(loadtest: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.scenarios.overhead.THROUGHPUT_CONCURRENCY", 2)
    monkeypatch.setattr("loadtest.commands.overhead.THROUGHPUT_CONCURRENCY", 2)
    result = loadtest("overhead", "tiny", "--repetitions", "6", "--duration", "0.6")
    assert result.exit_code in MEASURED, result.output
    assert "| tiny, onnxruntime | HTTP | gRPC |" in result.stdout
    assert "**gateway adds, ms** (95 % CI)" in result.stdout


def test_scraping_measures_with_and_without(loadtest: Invoke, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.commands.scraping.CONCURRENCY", 2)
    result = loadtest("scraping", "tiny", "--every", "0.01", "--repetitions", "6", "--duration", "0.6")
    assert result.exit_code in MEASURED, result.output
    assert "| onnxruntime gateway HTTP | 0.01 s | " in result.stdout
    assert [path for _, path, _ in server.requests].count("/metrics") >= 6


@pytest.mark.parametrize("every", ["", "0", "-1", "1,x", "nan", "inf"])
def test_intervals_of_scrapes_must_be_positive(loadtest: Invoke, every: str) -> None:
    result = loadtest("scraping", "tiny", "--every", every)
    assert result.exit_code == 2
    assert "--every: seconds such as 1,15 are expected" in result.stderr
