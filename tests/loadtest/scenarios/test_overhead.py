from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from loadtest.results.block import Block
from loadtest.results.report import Report
from loadtest.scenarios.overhead import markdown, overheads, paired
from loadtest.statistics.estimate import Interval
from loadtest.targets.stack import targets_of
from loadtest.targets.stack_state import read_stack


def test_overhead_is_paired_by_repetition(report: Report) -> None:
    (one,) = overheads(report)
    assert one.protocol == "HTTP"
    # Each pair differs by exactly 1 ms, although the repetitions drift: pairing takes the drift out.
    assert one.added_median == pytest.approx(0.001)
    assert one.added_interval == pytest.approx(Interval(0.001, 0.001))
    assert one.throughput_ratio == pytest.approx(1.25)
    assert (one.gateway_throughput, one.direct_throughput) == (50, 40)


def test_blocks_without_answers_make_no_pair(report: Report, block: Callable[..., Block]) -> None:
    gateway, direct = report.targets
    empty = [block("closed:1", n, []) for n in range(2)]
    direct = msgspec.structs.replace(direct, blocks=(*empty, *direct.blocks[2:]))
    (one,) = overheads(msgspec.structs.replace(report, targets=(gateway, direct)))
    assert one.added_median == pytest.approx(0.001)


def test_markdown_is_a_table_for_the_readme(report: Report) -> None:
    lines = markdown(report).splitlines()
    assert lines[0] == "| tiny, onnxruntime | HTTP |"
    assert "| **gateway adds, ms** (95 % CI) | +1.00 (1.00–1.00) |" in lines
    assert "| **ratio gateway ÷ direct** (95 % CI) | 1.25 (1.25–1.25) |" in lines
    assert {line.count("|") for line in lines} == {3}


def test_nothing_to_say_about_a_target_with_a_problem(report: Report) -> None:
    broken = msgspec.structs.replace(report.targets[1], problem="connect: refused")
    changed = msgspec.structs.replace(report, targets=(report.targets[0], broken))
    assert overheads(changed) == []
    assert markdown(changed) == ""


def test_only_protocols_spoken_both_ways_are_measured(run_directory: object) -> None:
    targets = targets_of(read_stack(run_directory))  # type: ignore[arg-type]
    by_backend = {
        backend: [target.name for target in paired([one for one in targets if one.backend == backend])]
        for backend in ("torchserve", "tensorflow")
    }
    assert by_backend == {
        "torchserve": ["torchserve gateway HTTP", "torchserve direct HTTP"],
        "tensorflow": ["tensorflow gateway gRPC", "tensorflow direct gRPC"],
    }
