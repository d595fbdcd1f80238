from __future__ import annotations

import re

import numpy as np
import pytest
from support.load_reports import make_digest, make_report, make_times

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.charts.series import Series
from loadtest.report.charts.spectrum import spectrum

ONE = ClosedLoop(concurrency=1)


def series(load: ClosedLoop | Poisson = ONE, **fields: object) -> list[Series]:
    digest = make_digest(make_report(loads=(load,)), **fields)
    return [Series(row.name, "c0 gateway", row) for row in digest.loads[0].rows]


def lines(picture: str) -> list[tuple[str, np.ndarray]]:
    found = re.findall(r'<polyline class="([^"]*)" points="([^"]*)">', picture)
    return [(look, np.array([pair.split(",") for pair in points.split()], dtype=float)) for look, points in found]


def test_lines_rise_and_end_grey() -> None:
    drawn = lines(spectrum(series()[:1]))
    (_, sure), (look, doubtful) = [line for line in drawn if "service" not in line[0]]
    assert "doubtful" in look
    assert np.all(np.diff(sure[:, 1]) <= 0)
    assert sure[-1].tolist() == doubtful[0].tolist()
    # 6.62 of 6,200 samples must lie beyond a percentile: it ends at 1 / (1 - p) = 937, and the axis at 6,200.
    share = (sure[-1, 0] - sure[0, 0]) / (doubtful[-1, 0] - sure[0, 0])
    assert share == pytest.approx(np.log(6200 / 6.62) / np.log(6200), abs=0.01)


def test_service_times_are_drawn_where_they_differ() -> None:
    assert not any("service" in look for look, _ in lines(spectrum(series(ClosedLoop(concurrency=64)))))
    assert sum("service" in look for look, _ in lines(spectrum(series(Poisson(rate=300.0))))) == 2 * 3


def test_too_few_times_make_no_curve() -> None:
    few = np.arange(1, 9) / 1000
    assert spectrum(series(response_times=few, response=make_times(few))) == ""
    assert spectrum([]) == ""
