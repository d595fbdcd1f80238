from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_store import make_store

from loadtest.scenarios.frameworks import FrameworkResult, run_frameworks, winner
from loadtest.statistics import Interval
from model_store.store import ModelStore


def result(framework: str, median: float, low: float, high: float) -> FrameworkResult:
    return FrameworkResult(framework=framework, median=median, median_interval=Interval(low, high))


def test_winner_is_how_much_faster_than_the_runner_up() -> None:
    results = [
        result("PyTorch", 1.31, 1.3, 1.32),
        result("TensorFlow", 5.0, 4.9, 5.1),
        result("ONNX Runtime", 1.0, 0.99, 1.01),
    ]
    assert winner(results) == "Winner: ONNX Runtime (31% faster)"


@pytest.mark.parametrize(
    "third", [result("TensorFlow", 5.0, 1.0, 9.0), FrameworkResult(framework="TensorFlow", median=5.0)]
)
def test_no_winner_when_any_interval_overlaps_or_is_unknown(third: FrameworkResult) -> None:
    results = [result("PyTorch", 1.31, 1.3, 1.32), result("ONNX Runtime", 1.0, 0.99, 1.01), third]
    assert winner(results) == "No significant difference"


def test_no_verdict_on_one_framework() -> None:
    assert winner([result("PyTorch", 1.0, 0.9, 1.1), FrameworkResult(framework="TensorFlow", problem="x")]) == ""


def test_framework_that_cannot_run_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    """Real workers on a model that was built for ONNX Runtime alone."""
    stored = ModelStore(make_store(tmp_path)).get("double")
    steps: list[str] = []
    report = run_frameworks(stored, inferences=25, batch=3, threads=1, seed=1, progress=steps.append)
    results = {one.framework: one for one in report.frameworks}
    assert results["PyTorch"].problem == "model 'double' was built without an artefact for pytorch"
    assert results["TensorFlow"].problem == "model 'double' was built without an artefact for tensorflow"
    onnxruntime = results["ONNX Runtime"]
    assert onnxruntime.problem == ""
    assert [len(times) for times in onnxruntime.rounds_ns] == [3, 3, 3, 3, 3, 2, 2, 2, 2, 2]
    assert onnxruntime.median is not None
    assert onnxruntime.median > 0
    assert onnxruntime.median_interval is not None
    assert (report.verdict, report.interrupted, steps[-1]) == ("", False, "")
