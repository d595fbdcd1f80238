from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from loadtest.results import Block, Report, TargetResult
from loadtest.statistics import Interval
from loadtest.summary import percent_faster, summarise, verdict

Make = Callable[..., Block]


def with_blocks(report: Report, *blocks: list[Block], problem: str = "") -> Report:
    """``report`` with one target for each list of blocks."""
    targets = tuple(
        TargetResult(backend=f"b{index}", via="direct", protocol="HTTP", server="", blocks=tuple(one), problem=problem)
        for index, one in enumerate(blocks)
    )
    return msgspec.structs.replace(report, targets=targets)


def test_samples_are_merged_and_never_percentiles(report: Report, block: Make) -> None:
    blocks = [block("closed-1", 0, [1.0] * 100), block("closed-1", 1, [9.0] * 10)]
    (row,) = summarise(with_blocks(report, blocks), report.phases[0])
    assert row.median == 0.001
    assert row.p90 == 0.001  # the mean of the blocks' p90 would be 5 ms
    assert row.throughput == 55


def test_interval_is_that_of_the_blocks_medians(report: Report, block: Make) -> None:
    blocks = [block("closed-1", n, [n + 1.0] * 50) for n in range(10)]
    (row,) = summarise(with_blocks(report, blocks), report.phases[0])
    assert row.median_interval == Interval(0.002, 0.009)


def test_few_blocks_have_no_interval(report: Report, block: Make) -> None:
    (row,) = summarise(with_blocks(report, [block("closed-1", n, [1.0] * 500) for n in range(5)]), report.phases[0])
    assert row.median_interval is None


def test_percentiles_appear_with_enough_samples(report: Report, block: Make) -> None:
    (row,) = summarise(with_blocks(report, [block("closed-1", 0, [1.0] * 130)]), report.phases[0])
    assert (row.p90, row.p95, row.p99) == (0.001, 0.001, None)


def test_void_phase_has_a_problem_and_no_numbers(report: Report, block: Make) -> None:
    blocks = [block("closed-1", 0, [1.0]), block("closed-1", 1, [1.0], void="cannot keep up")]
    (row,) = summarise(with_blocks(report, blocks), report.phases[0])
    assert (row.problem, row.median, row.throughput) == ("cannot keep up", None, 0)


def test_errors_of_all_blocks_are_summed_by_kind(report: Report, block: Make) -> None:
    blocks = [block("closed-1", n, [1.0], errors={"timeout": 2}) for n in range(3)]
    (row,) = summarise(with_blocks(report, blocks), report.phases[0])
    assert row.errors == {"timeout": 6}


def test_target_without_blocks(report: Report) -> None:
    (row,) = summarise(with_blocks(report, [], problem="connect: refused"), report.phases[0])
    assert (row.median, row.problem, row.error_count) == (None, "connect: refused", 0)


def test_verdict_names_the_faster_target(report: Report) -> None:
    assert verdict(summarise(report, report.phases[0])) == (
        "Lowest median: onnxruntime direct HTTP (96% faster than onnxruntime gateway HTTP)"
    )


def test_verdict_says_when_intervals_overlap(report: Report, block: Make) -> None:
    noisy = [block("closed-1", n, [n + 1.0] * 50) for n in range(10)]
    later = [block("closed-1", n, [n + 2.0] * 50) for n in range(10)]
    rows = summarise(with_blocks(report, noisy, later), report.phases[0])
    assert verdict(rows) == "Lowest median: b0 direct HTTP; no significant difference to b1 direct HTTP"


def test_no_verdict_on_one_target(report: Report, block: Make) -> None:
    blocks = [block("closed-1", n, [1.0]) for n in range(10)]
    assert verdict(summarise(with_blocks(report, blocks), report.phases[0])) == ""


@pytest.mark.parametrize(("other", "text"), [(1.31, "31%"), (2.0, "100%"), (1.004, "0.4%")])
def test_percent_faster_is_a_ratio_of_rates(other: float, text: str) -> None:
    assert percent_faster(1.0, other) == text
