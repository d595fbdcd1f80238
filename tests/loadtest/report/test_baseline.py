from __future__ import annotations

import pytest
from support.load_reports import make_digest, make_report, with_invalid, with_target

from loadtest.load.loads import ClosedLoop
from loadtest.report.baseline import regressions
from loadtest.report.digest import Digest

LOADS = (ClosedLoop(concurrency=8),)


@pytest.fixture(scope="module")
def baseline() -> Digest:
    return make_digest(make_report(loads=LOADS))


def test_the_same_again_is_no_regression(baseline: Digest) -> None:
    assert regressions(make_digest(make_report(loads=LOADS, seed=9)), baseline) == ()


def test_slower_is(baseline: Digest) -> None:
    found = regressions(make_digest(make_report(loads=LOADS, speed=0.75)), baseline)
    assert len(found) == 6  # p50 and p99 of three targets
    assert all("times the baseline's" in one and "the tolerance is 10 %" in one for one in found)
    assert found[0].startswith("onnxruntime gateway HTTP under closed:8: p50 is 1.3")


def test_faster_is_not(baseline: Digest) -> None:
    assert regressions(make_digest(make_report(loads=LOADS, speed=1.5)), baseline) == ()


def test_the_tolerance_decides(baseline: Digest) -> None:
    slower = make_digest(make_report(loads=LOADS, speed=0.75))
    assert regressions(slower, baseline, tolerance=0.5) == ()
    assert regressions(slower, baseline, tolerance=0.0)


def test_a_target_that_answers_no_more_is(baseline: Digest) -> None:
    report = with_target(make_report(loads=LOADS), 1, blocks=(), problem="connect: Connection refused")
    assert regressions(make_digest(report), baseline) == (
        "onnxruntime direct HTTP under closed:8: has no good answer any more: connect: Connection refused",
    )


def test_invalid_runs_cannot_be_compared(baseline: Digest) -> None:
    same = make_digest(make_report(loads=LOADS))
    assert regressions(with_invalid(same, "sent late"), baseline) == (
        "onnxruntime gateway HTTP under closed:8: this run is INVALID: sent late",
    )
    assert regressions(same, with_invalid(baseline, "sent late")) == (
        "onnxruntime gateway HTTP under closed:8: the baseline is INVALID, measure it anew: sent late",
    )


def test_runs_with_nothing_in_common_do_not_pass(baseline: Digest) -> None:
    other = make_digest(make_report(loads=(ClosedLoop(concurrency=3),)))
    assert regressions(other, baseline) == ("the baseline has no target and load in common with this run",)
