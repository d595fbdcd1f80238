from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.framework_results import batch_result, framework_result

from loadtest.frameworks import validity
from loadtest.frameworks.results import BatchResult, FrameworkResult
from loadtest.frameworks.validity import judge
from loadtest.statistics.stationarity import Stationarity


def result(framework: str, *medians: float, waited: float | None = 0.0) -> FrameworkResult:
    batches = [batch_result(batch, [[median]]) for batch, median in enumerate(medians, start=1)]
    return framework_result(framework, *batches, waited=waited)


def p_values(monkeypatch: pytest.MonkeyPatch, by_median: dict[float, float]) -> None:
    """Let the test of stationarity give these p-values, by the first time of a framework in ms."""

    def test(segments: Sequence[Sequence[float]]) -> Stationarity | None:
        found = by_median.get(round(float(segments[0][0]) * 1e3, 6))
        return None if found is None else Stationarity(found >= 0.05, found, "the times drift")

    monkeypatch.setattr(validity, "stationarity", test)


def steadiness(results: Sequence[FrameworkResult]) -> list[bool | None]:
    return [at.steady for one in results for at in one.batches]


def test_a_quiet_run_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    p_values(monkeypatch, {1.0: 0.4, 2.0: 0.9})
    judged, invalid, _ = judge([result("PyTorch", 1.0), result("ONNX Runtime", 2.0, waited=None)], 0.02)
    assert (steadiness(judged), invalid) == ([True, True], ())


def test_a_drift_is_a_warning_once_chance_among_all_tests_is_ruled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    p_values(monkeypatch, {1.0: 0.02, 2.0: 0.5, 3.0: 0.009, 4.0: 0.8})
    judged, invalid, warnings = judge([result("PyTorch", 1.0, 2.0), result("ONNX Runtime", 3.0, 4.0)], 0.0)
    assert steadiness(judged) == [True, True, False, True]  # 0.02 × 4 tests > 0.05 > 0.009 × 4 tests
    assert invalid == ()
    assert warnings == ("ONNX Runtime, batch 1: the times drift",)


def test_a_change_too_small_to_matter_is_none_however_significant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "stationarity", lambda segments: Stationarity(True, 0.0, "by no more than 1 %"))
    judged, invalid, _ = judge([result("PyTorch", 1.0)], 0.0)
    assert (steadiness(judged), invalid) == ([True], ())


def test_too_few_times_are_neither_steady_nor_not(monkeypatch: pytest.MonkeyPatch) -> None:
    p_values(monkeypatch, {})
    judged, invalid, _ = judge([result("PyTorch", 1.0)], 0.0)
    assert (steadiness(judged), invalid) == ([None], ())


def test_cpu_that_others_had_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    p_values(monkeypatch, {})
    frameworks = [result("PyTorch", 1.0, waited=0.05), result("Keras", 1.0, waited=0.123)]
    _, invalid, _ = judge(frameworks, 0.031)
    assert invalid == (
        "the host gave 3.1% of the CPU time to other guests; at most 2% is good",
        "other processes had the CPU for part of the time (PyTorch 5%, Keras 12%); at most 5% is good",
    )


def test_times_that_never_settled_are_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    p_values(monkeypatch, {})
    settled = batch_result(1, [[1.0]])
    never = BatchResult(**{name: getattr(settled, name) for name in settled.__struct_fields__} | {"warm_up": None})
    _, invalid, _ = judge([framework_result("PyTorch", never), framework_result("Keras", settled)], 0.0)
    assert invalid == ("PyTorch, batch 1: the times never settled before the rounds began",)


def test_frameworks_that_were_not_measured_make_nothing_invalid() -> None:
    absent = FrameworkResult(framework="Keras", absent="no")
    broken = FrameworkResult(framework="PyTorch", problem="no", waited=0.9)
    assert judge([absent, broken], 0.0) == ((absent, broken), (), ())
