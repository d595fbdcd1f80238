from __future__ import annotations

from support.framework_results import batch_result, framework_result, ratio

from loadtest.frameworks.results import FrameworkResult
from loadtest.frameworks.verdict import times, verdict
from loadtest.statistics.estimate import Estimate


def measured(framework: str, median: float, compared: Estimate | None = None, batch: int = 1) -> FrameworkResult:
    return framework_result(framework, batch_result(batch, [[median]], compared))


def test_the_fastest_and_the_next_with_its_interval() -> None:
    results = [
        measured("PyTorch", 1.31, ratio(1.31, 1.29, 1.33)),
        measured("TensorFlow", 5.0, ratio(5.0, 4.0, 6.0)),
        measured("ONNX Runtime", 1.0),
    ]
    assert verdict(results, (1,)) == (
        "Batch 1: ONNX Runtime is the fastest; PyTorch takes 1.31 (1.29–1.33) times as long."
    )


def test_no_difference_is_said_of_all_that_it_holds_for() -> None:
    results = [
        measured("PyTorch", 1.01, ratio(1.01, 0.99, 1.03)),
        measured("Keras", 1.02, ratio(1.02, 1.0, 1.04)),
        measured("TensorFlow", 50.0, ratio(50.0, 40.0, 160.4)),
        measured("ONNX Runtime", 1.0),
    ]
    assert verdict(results, (1,)) == (
        "Batch 1: no difference detected between ONNX Runtime, PyTorch and Keras; "
        "TensorFlow takes 50.0 (40.0–160) times as long."
    )
    assert verdict([results[0], results[3]], (1,)) == (
        "Batch 1: no difference detected between ONNX Runtime and PyTorch."
    )


def test_no_verdict_without_intervals_or_without_a_second() -> None:
    unknown = [measured("PyTorch", 1.3, ratio(1.3)), measured("ONNX Runtime", 1.0)]
    assert verdict(unknown, (1,)) == "Batch 1: too few rounds to tell the frameworks apart."
    assert verdict([measured("PyTorch", 1.0), FrameworkResult(framework="Keras", problem="x")], (1,)) == ""
    assert verdict([], (1,)) == ""


def test_one_line_a_batch_size_that_was_measured() -> None:
    results = [
        framework_result("PyTorch", batch_result(1, [[2.0]], ratio(2.0, 1.9, 2.1)), batch_result(8, [[3.0]])),
        framework_result("ONNX Runtime", batch_result(1, [[1.0]]), batch_result(8, [[6.0]], ratio(2.0, 1.8, 2.2))),
    ]
    assert verdict(results, (1, 8, 32)).splitlines() == [
        "Batch 1: ONNX Runtime is the fastest; PyTorch takes 2.00 (1.90–2.10) times as long.",
        "Batch 8: PyTorch is the fastest; ONNX Runtime takes 2.00 (1.80–2.20) times as long.",
    ]


def test_ratios_have_three_digits() -> None:
    assert times(ratio(9.996, 9.99, 99.96)) == "10.0 (9.99–100)"
    assert times(ratio(1234.5)) == "1,234"
