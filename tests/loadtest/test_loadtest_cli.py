from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from loadtest.cli import app
from model_store.store import ModelStore

QUICK = ("--duration", "0.1", "--repetitions", "2", "--warm-up", "0", "--seed", "7", "--timeout", "2")
Invoke = Callable[..., Result]


@pytest.fixture
def places(store: ModelStore, run_directory: Path, tmp_path: Path) -> tuple[str, ...]:
    return ("--store", str(store.root), "--run-dir", str(run_directory), "--output", str(tmp_path / "reports"))


@pytest.fixture
def loadtest(places: tuple[str, ...]) -> Invoke:
    """Runs a command on the stand-in stack, quickly."""

    def invoke(*arguments: str, defaults: tuple[str, ...] = QUICK + places) -> Result:
        return CliRunner().invoke(app, [arguments[0], *defaults, *arguments[1:]])

    return invoke


def test_compare_measures_every_target_over_the_wire(loadtest: Invoke, server: Any, tmp_path: Path) -> None:
    result = loadtest("compare", "tiny", "--concurrency", "2", "--rate", "40")
    assert result.exit_code == 0, result.output
    assert "Closed loop, 2 in flight" in result.stdout
    assert "Open loop, 40 requests/s" in result.stdout
    assert set(server.requests) == {
        ("HTTP", "/v2/models/tiny/infer", "torchserve"),
        ("HTTP", "/v2/models/tiny/infer", "tensorflow"),
        ("HTTP", "/v2/models/tiny/infer", "onnxruntime"),
        ("HTTP", "/v2/models/tiny/infer", ""),
        ("HTTP", "/predictions/tiny", "Bearer secret-token"),
        ("gRPC", "/inference.GRPCInferenceService/ModelInfer", "torchserve"),
        ("gRPC", "/inference.GRPCInferenceService/ModelInfer", "tensorflow"),
        ("gRPC", "/inference.GRPCInferenceService/ModelInfer", "onnxruntime"),
        ("gRPC", "/inference.GRPCInferenceService/ModelInfer", ""),
        ("gRPC", "/tensorflow.serving.PredictionService/Predict", ""),
    }
    assert sorted(path.suffix for path in (tmp_path / "reports").iterdir()) == [".html", ".json"]
    assert "Page:" in result.stderr


def test_rate_defaults_to_half_of_the_slowest_capacity(loadtest: Invoke, run_directory: Path) -> None:
    path = run_directory / "state.json"
    state = json.loads(path.read_text())
    state["backends"] = {"tensorflow": state["backends"]["tensorflow"]}
    path.write_text(json.dumps(state))
    result = loadtest("compare", "tiny", "--concurrency", "1", "--json")
    assert result.exit_code == 0, result.output
    closed, opened = json.loads(result.stdout)["phases"]
    slowest = min(target["throughput"] for target in closed["targets"])
    assert opened["load"]["rate"] == pytest.approx(slowest / 2, rel=0.05)


def test_same_seed_same_order_and_it_is_printed(loadtest: Invoke, server: Any) -> None:
    orders = []
    for _ in range(2):
        server.requests.clear()
        result = loadtest("compare", "tiny", "--concurrency", "1", "--rate", "0")
        assert "seed 7" in result.stderr
        orders.append(list(dict.fromkeys(server.requests)))
    assert orders[0] == orders[1]


def test_backend_that_is_down_has_its_row_and_the_others_go_on(loadtest: Invoke, run_directory: Path) -> None:
    path = run_directory / "state.json"
    state = json.loads(path.read_text())
    state["backends"]["tensorflow"]["grpc"] = "127.0.0.1:1"
    state["backends"]["torchserve"]["state"] = "failed"
    path.write_text(json.dumps(state))
    result = loadtest("compare", "tiny", "--concurrency", "1", "--rate", "0", "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)["phases"][0]["targets"]
    problems = {(row["backend"], row["via"], row["protocol"]): row["problem"] for row in rows if row["problem"]}
    assert problems["tensorflow", "direct", "gRPC"].startswith("connect")
    assert problems["torchserve", "direct", "HTTP"] == "the backend is failed; its log is b.log"
    assert len(problems) == 4
    assert all(row["p50"] for row in rows if not row["problem"])


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
    result = loadtest("run", "tiny", "--backend", "onnxruntime", "--concurrency", "1", "--json")
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)["phases"][0]["targets"]
    assert row["problem"].startswith(problem)
    assert row["requests"] == 0


def test_report_renders_a_saved_result_again(loadtest: Invoke, tmp_path: Path) -> None:
    first = loadtest("run", "tiny", "--backend", "onnxruntime", "--via", "direct", "--rate", "50", "--json")
    assert first.exit_code == 0, first.output
    (page,) = (tmp_path / "reports").glob("*.html")
    original = page.read_text()
    page.unlink()
    again = loadtest("report", str(page.with_suffix(".json")), "--json", defaults=())
    assert again.exit_code == 0
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert page.read_text() == original


def test_overhead_prints_a_table_for_the_readme(loadtest: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.scenarios.overhead.THROUGHPUT_CONCURRENCY", 2)
    result = loadtest("overhead", "tiny", "--repetitions", "6")
    assert result.exit_code == 0, result.output
    assert "| tiny, onnxruntime | HTTP | gRPC |" in result.stdout
    assert "**gateway adds, ms** (95 % CI)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("compare", "nope"), "does not serve 'nope'; it serves tiny"),
        (("compare", "tiny", "--concurrency", "1,x"), "--concurrency: numbers from 1 to 512"),
        (("run", "tiny", "--backend", "onnxruntime"), "give either --concurrency"),
        (("run", "tiny", "--backend", "nope", "--rate", "1"), "no backend 'nope'"),
        (
            ("run", "tiny", "--backend", "torchserve", "--via", "direct", "--protocol", "grpc", "--rate", "1"),
            "cannot be measured direct over grpc",
        ),
        (("overhead", "tiny", "--backend", "nope", "--repetitions", "6"), "no backend 'nope'"),
    ],
)
def test_wrong_arguments_are_one_sentence(loadtest: Invoke, arguments: tuple[str, ...], sentence: str) -> None:
    result = loadtest(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_no_running_stack(loadtest: Invoke, store: ModelStore, tmp_path: Path) -> None:
    places = ("--run-dir", str(tmp_path / "none"), "--store", str(store.root))
    result = loadtest("compare", "tiny", defaults=places)
    assert result.exit_code == 2
    assert "start one with: gateway up" in result.stderr


def test_model_that_is_not_built(loadtest: Invoke, run_directory: Path, tmp_path: Path) -> None:
    places = ("--run-dir", str(run_directory), "--store", str(tmp_path / "empty"))
    result = loadtest("compare", "tiny", defaults=places)
    assert result.exit_code == 2
    assert "build it with: model-store build tiny" in result.stderr


def test_unwritable_output(loadtest: Invoke, store: ModelStore, run_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    places = ("--run-dir", str(run_directory), "--store", str(store.root), "--output", str(tmp_path / "file" / "x"))
    result = loadtest("compare", "tiny", defaults=places)
    assert result.exit_code == 2
    assert "cannot write results to" in result.stderr


def test_report_of_a_file_that_is_none(loadtest: Invoke, tmp_path: Path) -> None:
    result = loadtest("report", str(tmp_path / "none.json"), defaults=())
    assert result.exit_code == 2
    assert "No such file" in result.stderr


@pytest.mark.parametrize("command", ["compare", "run", "overhead", "frameworks", "report"])
def test_help_shows_an_example(loadtest: Invoke, command: str) -> None:
    result = loadtest(command, "--help", defaults=())
    assert result.exit_code == 0
    assert f"Example: loadtest {command}" in " ".join(result.stdout.split())
