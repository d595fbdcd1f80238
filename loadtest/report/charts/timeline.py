"""What happened when: rate, response times and errors along the run's time axis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from loadtest.report.charts.series import Series
from loadtest.report.charts.svg import WIDTH, Frame, milliseconds_ticks, picture, plain_ticks, text
from loadtest.report.scales import LinearScale, LogScale
from loadtest.report.track import Track, track
from loadtest.statistics.quantiles import percentile

_LEFT, _RIGHT = 64, WIDTH - 24
_WIDTHS = (0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600)  # of a step, in seconds
_MOST_STEPS = 300
_MOST_SHORT_STEPS = 60  # of less than a second: they hold too few times for smooth lines
_SMALLEST = 1e-6  # seconds; a logarithmic axis has no zero
_PANEL = 150  # pixels
_GAP = 46

Points = list[tuple[float, float]]


@dataclass(slots=True, frozen=True)
class _Line:
    one: Series
    rate: Points
    due: Points
    median: Points
    tail: Points
    errors: Points


def timeline(series: Sequence[Series]) -> str:
    """Panels above each other on one axis; the step is a second in all but very long and very short runs."""
    tracks = [(one, track(one.row)) for one in series]
    seconds = max((path.seconds for _, path in tracks if len(path.due)), default=0.0)
    if not seconds:
        return ""
    step = _step(seconds)
    lines = [_line(one, path, step) for one, path in tracks if len(path.due)]
    panels = [_rates(lines, seconds), _times(lines, seconds)]
    if any(value for line in lines for _, value in line.errors):
        panels.append(_errors(lines, seconds))
    height = len(panels) * (_PANEL + _GAP) + 28
    axis = text(_RIGHT, height - 8, f"measured seconds, in steps of {step:g} s →", "axis", "end")
    return picture(height, "Rate, response times and errors over time", [*panels, axis])


def _step(seconds: float) -> float:
    for width in _WIDTHS:
        if seconds / width <= (_MOST_STEPS if width >= 1 else _MOST_SHORT_STEPS):
            return width
    return _WIDTHS[-1]


def _line(one: Series, path: Track, step: float) -> _Line:
    steps = max(round(path.seconds / step), 1)
    edges = np.linspace(0, path.seconds, steps + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    width = float(edges[1])

    def rate(times: npt.NDArray[np.float64]) -> Points:
        return list(zip(middles.tolist(), (np.histogram(times, edges)[0] / width).tolist(), strict=True))

    cuts = np.searchsorted(path.due, edges)
    sorted_steps = [np.sort(path.response[low:high]) for low, high in itertools.pairwise(cuts)]

    def percentiles(share: float) -> Points:
        pairs = zip(middles.tolist(), sorted_steps, strict=True)
        return [(at, max(percentile(times, share), _SMALLEST)) for at, times in pairs if len(times)]

    due = rate(np.concatenate([path.due, path.failed])) if one.row.offered is not None else []
    return _Line(one, rate(path.done), due, percentiles(0.5), percentiles(0.99), rate(path.failed))


def _panel(index: int) -> tuple[float, float]:
    top = 28 + index * (_PANEL + _GAP)
    return top + _PANEL, top


def _across(seconds: float) -> LinearScale:
    return LinearScale(0, seconds, _LEFT, _RIGHT)


def _rates(lines: Sequence[_Line], seconds: float) -> str:
    highest = max(value for line in lines for _, value in (*line.rate, *line.due))
    upward = LinearScale(0, highest * 1.05, *_panel(0))
    frame = Frame(_across(seconds), upward)
    due = " (grey: due)" if any(line.due for line in lines) else ""
    parts = [_ground(frame, plain_ticks(upward.ticks()), "answers a second" + due)]
    for line in lines:
        parts += [frame.line(line.due, "line due", f"{line.one.label}: due")] if line.due else []
    parts += [frame.line(line.rate, f"line {line.one.look}", f"{line.one.label}: answers/s") for line in lines]
    return "".join(parts)


def _times(lines: Sequence[_Line], seconds: float) -> str:
    values = [value for line in lines for _, value in (*line.median, *line.tail)]
    upward = LogScale(min(values), max(values), *_panel(1))
    frame = Frame(_across(seconds), upward)
    parts = [_ground(frame, milliseconds_ticks(upward.ticks()), "response time, ms: p50, and p99 thin")]
    for line in lines:
        look, label = line.one.look, line.one.label
        parts.append(frame.line(line.tail, f"line thin {look}", f"{label}: p99"))
        parts.append(frame.line(line.median, f"line {look}", f"{label}: p50"))
    return "".join(parts)


def _errors(lines: Sequence[_Line], seconds: float) -> str:
    upward = LinearScale(0, max(value for line in lines for _, value in line.errors) * 1.05, *_panel(2))
    frame = Frame(_across(seconds), upward)
    return _ground(frame, plain_ticks(upward.ticks()), "errors a second") + "".join(_bars(frame, lines))


def _bars(frame: Frame, lines: Sequence[_Line]) -> Iterator[str]:
    bottom = frame.upward.start
    for line in lines:
        for at, value in line.errors:
            if value:
                x, y = frame.across(at), frame.upward(value)
                title = escape(f"{line.one.label}: {value:,.4g} errors/s at {at:.4g} s")
                path = f"M{x:.1f} {bottom:.1f}V{y:.1f}"
                yield f'<path class="errors {line.one.look}" d="{path}"><title>{title}</title></path>'


def _ground(frame: Frame, upward: dict[float, str], title: str) -> str:
    return frame.grid(plain_ticks(frame.across.ticks()), upward) + frame.titles("", title)
