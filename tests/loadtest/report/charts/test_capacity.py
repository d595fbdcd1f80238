from __future__ import annotations

from dataclasses import replace

from support.load_reports import make_digest, make_report

from loadtest.load.loads import AnyLoad, ClosedLoop, Poisson
from loadtest.report.charts.capacity import capacity, curves
from loadtest.report.charts.series import Series
from loadtest.statistics.estimate import Estimate

CLOSED: tuple[AnyLoad, ...] = tuple(ClosedLoop(concurrency=number) for number in (8, 1, 2, 4))
# By concurrency: throughput and latency; its power is greatest at 2.
QUEUE = {1: (100.0, 0.010), 2: (190.0, 0.0105), 4: (210.0, 0.019), 8: (212.0, 0.038)}


def measured(loads: tuple[AnyLoad, ...] = CLOSED) -> list[tuple[AnyLoad, list[Series]]]:
    found = []
    for one in make_digest(make_report(loads=loads)).loads:
        row = one.rows[0]
        if isinstance(one.load, ClosedLoop):
            rate, latency = QUEUE[one.load.concurrency]
            percentiles = {0.5: Estimate(value=latency)}
            response = replace(row.response, percentiles=percentiles)
            row = replace(row, throughput=Estimate(value=rate), response=response)
        found.append((one.load, [Series("it", "c0", row)]))
    return found


def test_a_curve_goes_from_the_lowest_load_to_the_highest() -> None:
    (curve,) = curves(measured(), 0.5)["closed"]
    assert [point.throughput for point in curve.points] == [100.0, 190.0, 210.0, 212.0]


def test_the_knee_is_ringed() -> None:
    picture = capacity(curves(measured(), 0.5)["closed"], 0.5)
    assert picture.count('class="knee') == 1
    assert "Knee of it: Closed loop, 2 in flight" in picture


def test_kinds_of_load_are_not_mixed_and_two_points_make_no_curve() -> None:
    loads = (*CLOSED, Poisson(rate=100.0), Poisson(rate=200.0))
    assert list(curves(measured(loads), 0.5)) == ["closed"]
    assert curves(measured(CLOSED[:2]), 0.5) == {}


def test_percentiles_with_too_few_samples_make_no_curve() -> None:
    assert curves(measured(), 0.99) == {}
