"""The percentile spectrum: times against percentile, on an axis that gives every further nine the same room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loadtest.report.charts.series import Series
from loadtest.report.charts.svg import WIDTH, Frame, milliseconds_ticks, picture
from loadtest.report.scales import LogScale
from loadtest.report.table import differs
from loadtest.report.track import track
from loadtest.statistics.quantiles import LEAST_SAMPLES, percentile

_POINTS = 160
_LEAST_DRAWN = 10  # times; fewer make no curve
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
# Samples that must lie beyond a percentile before it counts: the rule that LEAST_SAMPLES follows.
_BEYOND = LEAST_SAMPLES[0.99] * (1 - 0.99)
_SMALLEST = 1e-6  # seconds; a logarithmic axis has no zero


def spectrum(series: Sequence[Series]) -> str:
    """Response times as lines, service times dotted where they differ; grey where samples are too few."""
    drawn = [one for one in series if len(one.row.response_times) >= _LEAST_DRAWN]
    if not drawn:
        return ""
    curves = [curve for one in drawn for curve in _curves(one)]
    farthest = max(len(one.row.response_times) for one in drawn)
    values = [value for points, _, _ in curves for _, value in points]
    frame = Frame(LogScale(1, farthest, 64, WIDTH - 24), LogScale(min(values), max(values), 350, 28))
    nines = {1 / (1 - share): f"{share * 100:g} %" for share in _TICKS if 1 / (1 - share) <= farthest * 1.001}
    parts = [
        frame.grid(nines, milliseconds_ticks(frame.upward.ticks())),
        *(frame.line(points, classes, title) for points, classes, title in curves),
        frame.titles("percentile of requests", "time, ms"),
    ]
    return picture(394, "Percentile spectrum", parts)


Curve = tuple[list[tuple[float, float]], str, str]


def _curves(one: Series) -> list[Curve]:
    curves = [*_curve(one.row.response_times, f"line {one.look}", f"{one.label}: response time")]
    if differs(one.row):
        service = np.sort(track(one.row).settled(one.row.warm_up or 0.0).service)
        curves += _curve(service, f"line service {one.look}", f"{one.label}: service time")
    return curves


def _curve(ordered: npt.NDArray[np.float64], classes: str, title: str) -> list[Curve]:
    count = len(ordered)
    trusted = max(count / _BEYOND, 1)
    points = [
        (float(one), max(percentile(ordered, 1 - 1 / float(one)), _SMALLEST)) for one in np.geomspace(1, count, _POINTS)
    ]
    sure = [point for point in points if point[0] <= trusted]
    doubtful = [point for point in points if point[0] > trusted]
    return [
        (sure, classes, title),
        ([*sure[-1:], *doubtful], f"{classes} doubtful", f"{title}, too few samples"),
    ]
