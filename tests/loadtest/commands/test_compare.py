from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]
QUICK = ("--duration", "0.2", "--repetitions", "2")
# On a machine that is busy with tests the short runs may well be INVALID; what they measured is there all the same.
MEASURED = (0, 3)


def change_state(run_directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run_directory / "state.json"
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state))


def test_compare_measures_every_target_over_the_wire(loadtest: Invoke, server: Any, tmp_path: Path) -> None:
    result = loadtest("compare", "tiny", *QUICK, "--concurrency", "2", "--rate", "40")
    assert result.exit_code in MEASURED, result.output
    assert "Closed loop, 2 in flight" in result.stdout
    assert "Open loop, 40 requests/s" in result.stdout
    inferences = {request for request in server.requests if request[1] != "/v2/models/tiny/stats"}  # else its counters
    assert inferences == {
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


def test_rate_defaults_to_half_of_the_slowest_capacity(loadtest: Invoke, run_directory: Path) -> None:
    change_state(run_directory, lambda state: state["backends"].pop("torchserve"))
    change_state(run_directory, lambda state: state["backends"].pop("onnxruntime"))
    result = loadtest("compare", "tiny", *QUICK, "--json")
    loads = {one["load"]["load"]: one for one in json.loads(result.stdout)["loads"]}
    best: dict[str, float] = {}
    for one in json.loads(result.stdout)["loads"][:2]:
        for target in one["targets"]:
            best[target["name"]] = max(best.get(target["name"], 0.0), target["throughput"]["value"])
    assert loads["poisson"]["load"]["rate"] == pytest.approx(min(best.values()) / 2, rel=0.06)


def test_same_seed_same_order_and_it_is_printed(loadtest: Invoke, server: Any) -> None:
    orders = []
    for _ in range(2):
        server.requests.clear()
        result = loadtest("compare", "tiny", *QUICK, "--concurrency", "1")
        assert "(arrivals, samples, payloads)" in result.stderr
        orders.append(list(dict.fromkeys(server.requests)))
    assert orders[0] == orders[1]


def test_backend_that_is_down_has_its_row_and_the_others_go_on(loadtest: Invoke, run_directory: Path) -> None:
    def break_two(state: dict[str, Any]) -> None:
        state["backends"]["tensorflow"]["grpc"] = "127.0.0.1:1"
        state["backends"]["torchserve"]["state"] = "failed"

    change_state(run_directory, break_two)
    result = loadtest("compare", "tiny", *QUICK, "--concurrency", "1", "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)["loads"][0]["targets"]
    problems = {row["name"]: row["problem"] for row in rows if row["problem"]}
    assert problems["tensorflow direct gRPC"].startswith("connect")
    assert problems["torchserve direct HTTP"] == "backend torchserve is failed; see its log b.log"
    assert len(problems) == 4
    assert all(row["response"]["percentiles"] for row in rows if not row["problem"])


def test_restarts_are_the_outer_repetition(loadtest: Invoke, tmp_path: Path) -> None:
    restarted = tmp_path / "restarted"
    result = loadtest(
        "compare", "tiny", *QUICK, "--backend", "onnxruntime", "--via", "direct", "--concurrency", "1",
        "--restarts", "3", "--restart", f"echo again >> {restarted}",
    )  # fmt: skip
    assert result.exit_code in MEASURED, result.output
    assert restarted.read_text() == "again\nagain\n"
    (path,) = (tmp_path / "reports").glob("*.json")
    blocks = json.loads(path.read_text())["targets"][0]["blocks"]
    assert [(block["restart"], block["repetition"]) for block in blocks] == [
        (0, 0),
        (0, 1),
        (1, 2),
        (1, 3),
        (2, 4),
        (2, 5),
    ]


def test_restart_that_fails_ends_the_comparison(loadtest: Invoke) -> None:
    result = loadtest(
        "compare", "tiny", *QUICK, "--backend", "onnxruntime", "--via", "direct", "--concurrency", "1",
        "--restarts", "2", "--restart", "exit 4",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "--restart: 'exit 4' ended with exit code 4" in result.stderr


def test_batch_sizes_are_swept(loadtest: Invoke, tmp_path: Path) -> None:
    result = loadtest(
        "compare", "tiny", *QUICK, "--backend", "onnxruntime", "--via", "direct", "--protocol", "http",
        "--concurrency", "1", "--batch", "1,4", "--json",
    )  # fmt: skip
    rows = json.loads(result.stdout)["loads"][0]["targets"]
    assert [row["name"] for row in rows] == ["onnxruntime direct HTTP ×1", "onnxruntime direct HTTP ×4"]
    assert [row["rows"] // row["requests"] for row in rows] == [1, 4]
