from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from support.framework_results import batch_result, framework_result, ratio

from loadtest.frameworks.results import FrameworkResult, FrameworksReport
from loadtest.report.frameworks_table import frameworks_table
from loadtest.results.environment import Environment


def report(*frameworks: FrameworkResult, **changes: Any) -> FrameworksReport:
    fields: dict[str, Any] = {
        "model": "digits-mlp",
        "version": "1",
        "started": "2026-01-02T03:04:05+00:00",
        "inferences": 1000,
        "batches": (1, 8),
        "threads": 1,
        "seed": 7,
        "environment": Environment(cpu="Some CPU", cores=2, memory_gib=8, system="Linux", python="3.11"),
        "stolen_cpu": 0.0,
        "interrupted": False,
        "frameworks": frameworks,
        "verdict": "",
        "invalid": (),
    }
    return FrameworksReport(**fields | changes)


def printed(shown: FrameworksReport) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80, highlight=False).print(frameworks_table(shown))
    return stream.getvalue()


@pytest.fixture
def measured() -> tuple[FrameworkResult, ...]:
    return (
        framework_result(
            "PyTorch",
            batch_result(1, [[1.5], [1.5]], ratio(1.5, 1.4, 1.6)),
            batch_result(8, [[2.0]]),
        ),
        FrameworkResult(framework="scikit-learn", absent="the original is of pytorch: PyTorch Sequential"),
        framework_result("ONNX Runtime", batch_result(1, [[1.0], [1.0]]), batch_result(8, [[3.0]], ratio(1.5))),
    )


def test_every_number_of_a_framework_is_on_its_line(measured: tuple[FrameworkResult, ...]) -> None:
    lines = [line.split() for line in printed(report(*measured)).splitlines()]
    assert ["PyTorch", "1.2.3", "1.75", "300", "3e-07", "some", "route"] in lines
    assert ["PyTorch", "1.50", "1.35–1.65", "(1.50)", "(1.50)", "667", "1.50", "(1.40–1.60)"] in lines
    assert ["ONNX", "Runtime", "3.00", "2.70–3.30", "(3.00)", "(3.00)", "2,667", "1.50"] in lines
    assert ["In", "brackets:", "too", "few", "inferences", "for", "that", "percentile."] in lines


def test_each_batch_size_has_its_table_with_the_fastest_first(measured: tuple[FrameworkResult, ...]) -> None:
    text = printed(report(*measured))
    first, second = text.index("batch 1\n"), text.index("batch 8\n")
    assert text.index("ONNX Runtime", first) < text.index("PyTorch", first) < second
    assert text.index("PyTorch", second) < text.index("ONNX Runtime", second)


def test_what_is_missing_wrong_and_invalid_is_said(measured: tuple[FrameworkResult, ...]) -> None:
    broken = FrameworkResult(framework="Keras", problem="its process ended with exit code 3")
    text = printed(report(*measured, broken, invalid=("PyTorch, batch 1: the times drift",), interrupted=True))
    assert "scikit-learn takes no part: the original is of pytorch: PyTorch Sequential" in text
    assert "✗ Keras: its process ended with exit code 3" in text
    assert "✗ INVALID: PyTorch, batch 1: the times drift" in text
    assert "Interrupted: the numbers cover what was measured until then." in text


def test_the_verdict_ends_it(measured: tuple[FrameworkResult, ...]) -> None:
    verdict = "Batch 1: ONNX Runtime is the fastest; PyTorch takes 1.50 (1.40–1.60) times as long."
    assert " ".join(printed(report(*measured, verdict=verdict)).split()).endswith(verdict)


def test_it_fits_into_eighty_columns_with_the_widest_numbers() -> None:
    wide = [[123_456.0] * 2]
    widest = framework_result("scikit-learn", batch_result(1, wide, ratio(1234.0, 1000.0, 2345.0)))
    lines = printed(report(widest)).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("1,234 (1,000–2,345)" in line for line in lines)


def test_nothing_measured() -> None:
    text = printed(report(FrameworkResult(framework="Keras", absent="no")))
    assert "Keras takes no part: no" in text
    assert "batch 1\n" not in text
