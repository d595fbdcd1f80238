from __future__ import annotations

import pytest
from support.load_reports import make_digest, make_report

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.differences import Difference, differences
from loadtest.statistics.estimate import Estimate, Interval

LOADS = (ClosedLoop(concurrency=8), Poisson(rate=300.0))


def difference(metric: str, old: float, new: float, half: float = 0.01) -> Difference:
    old_one, new_one = (
        Estimate(value=value, interval=Interval(value * (1 - half), value * (1 + half))) for value in (old, new)
    )
    return Difference("closed:8", "a gateway HTTP", metric, old_one, new_one)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "old", "new", "ratio", "loss"),
    [("p50", 0.01, 0.015, 1.5, 0.5), ("p99", 0.02, 0.01, 0.5, -0.5), ("throughput", 100.0, 80.0, 0.8, 0.25)],
)
def test_loss_is_positive_when_it_is_worse(metric: str, old: float, new: float, ratio: float, loss: float) -> None:
    one = difference(metric, old, new)
    assert one.ratio == pytest.approx(ratio)
    assert one.loss == pytest.approx(loss)
    assert one.detected


def test_overlapping_or_missing_intervals_show_nothing() -> None:
    assert not difference("p50", 0.01, 0.0101).detected
    one = difference("p50", 0.01, 0.02)
    assert not Difference(one.load, one.target, "p50", one.old, Estimate(value=0.02)).detected


def test_sentence() -> None:
    assert difference("p99", 0.01, 0.02).sentence == (
        "a gateway HTTP under closed:8: p99 is 2 times the baseline's "
        "(20.0 ms, 95 % CI 19.8–20.2 instead of 10.0 ms, 95 % CI 9.90–10.1)"
    )


def test_only_what_both_runs_have_is_compared() -> None:
    old = make_digest(make_report(loads=LOADS))
    new = make_digest(make_report(loads=(LOADS[0], ClosedLoop(concurrency=64)), speed=0.5))
    found = list(differences(old, new))
    assert {one.load for one in found} == {"closed:8"}
    assert len(found) == 3 * 3
    assert all(1.5 < one.ratio < 2.5 for one in found if one.metric == "p50")


def test_percentiles_with_too_few_samples_are_not_compared() -> None:
    report = make_report(loads=LOADS[:1])
    digest = make_digest(report)
    times = digest.loads[0].rows[0].response
    few = {
        share: Estimate(value=one.value, interval=one.interval, enough=share < 0.9)
        for share, one in times.percentiles.items()
    }
    short = make_digest(report, response=type(times)(times.mean, few))
    assert {one.metric for one in differences(digest, short)} == {"p50", "throughput"}
