from __future__ import annotations

import pytest

from loadtest.scenarios.frameworks import FrameworkResult, winner
from loadtest.statistics import Interval


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
