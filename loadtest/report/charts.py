"""The page's pictures as inline SVG: the percentile spectrum, and medians with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from loadtest.report.scales import LogScale, log_ticks
from loadtest.report.units import millisecond_interval, milliseconds
from loadtest.statistics import LEAST_SAMPLES, percentile
from loadtest.summary import Row

_WIDTH = 920
_POINTS = 160
_SPECTRUM_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
# Samples that must lie beyond a percentile before it is drawn: the rule that LEAST_SAMPLES follows.
_BEYOND = LEAST_SAMPLES[0.99] * (1 - 0.99)


def line_classes(row: Row, backends: Sequence[str]) -> str:
    """CSS classes that give a target its look: colour by backend, dashes for direct calls, tint for gRPC."""
    return f"b{backends.index(row.target.backend) % 6} {row.target.via} {row.target.protocol.lower()}"


def spectrum(rows: Sequence[Row], backends: Sequence[str]) -> str:
    """Response time against percentile, on an axis that gives every further nine the same room."""
    drawn = [row for row in rows if len(row.response_times) >= 2 * _BEYOND]
    if not drawn:
        return ""
    height, left, bottom = 400, 64, 360
    farthest = max(len(row.response_times) for row in drawn) / _BEYOND
    across = LogScale(1, max(farthest, 10), left, _WIDTH - 16)
    tops = [_spectrum_points(row)[-1][1] for row in drawn]
    upward = LogScale(min(float(row.response_times[0]) for row in drawn), max(tops), bottom, 16)
    grid = [_horizontal(upward(tick), left, f"{tick * 1000:g}") for tick in log_ticks(upward.low, upward.high)]
    grid += [
        _vertical(across(1 / (1 - share)), 16, bottom, f"{share * 100:g} %")
        for share in _SPECTRUM_TICKS
        if 1 / (1 - share) <= across.high * 1.001
    ]
    lines = [
        f'<polyline class="line {line_classes(row, backends)}" points="'
        + " ".join(f"{across(1 / (1 - share)):.1f},{upward(value):.1f}" for share, value in _spectrum_points(row))
        + f'"><title>{escape(row.name)}</title></polyline>'
        for row in drawn
    ]
    labels = (
        f'<text class="axis" x="{left}" y="{height - 4}">percentile of requests →</text>'
        f'<text class="axis" x="{left + 8}" y="28">response time, ms</text>'
    )
    return _svg(height, "Percentile spectrum", [*grid, *lines, labels])


def medians(rows: Sequence[Row], backends: Sequence[str]) -> str:
    """Median with its interval, and the 99th percentile where it is known, one target a line."""
    drawn = [row for row in rows if row.median is not None]
    if not drawn:
        return ""
    left, top, step = 230, 12, 26
    bottom = top + step * len(drawn)
    values = [value for row in drawn for value in (row.median, row.p99, *(row.median_interval or ())) if value]
    across = LogScale(min(values), max(values), left, _WIDTH - 72)
    grid = [_vertical(across(tick), top, bottom, f"{tick * 1000:g}") for tick in log_ticks(across.low, across.high)]
    marks = [_median_marks(row, across, top + step * (index + 0.5), backends) for index, row in enumerate(drawn)]
    label = f'<text class="axis" x="{left}" y="{bottom + 40}">response time, ms →</text>'
    return _svg(bottom + 46, "Medians with confidence intervals", [*grid, *marks, label])


def swatch(row: Row, backends: Sequence[str]) -> str:
    """A short piece of the target's line, for legends."""
    return (
        f'<svg class="swatch" viewBox="0 0 34 10" width="34" height="10" aria-hidden="true">'
        f'<line class="line {line_classes(row, backends)}" x1="1" x2="33" y1="5" y2="5"/></svg>'
    )


def _median_marks(row: Row, across: LogScale, y: float, backends: Sequence[str]) -> str:
    assert row.median is not None  # noqa: S101
    classes = line_classes(row, backends)
    parts = [f'<text class="label" x="8" y="{y + 4:.1f}">{escape(row.name)}</text>']
    if row.p99 is not None:
        parts.append(
            f'<line class="reach {classes}" x1="{across(row.median):.1f}" x2="{across(row.p99):.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<path class="tail {classes}" d="M{across(row.p99):.1f} {y - 5:.1f}v10"/>'
        )
    if row.median_interval is not None:
        low, high = across(row.median_interval.low), across(row.median_interval.high)
        parts.append(
            f'<rect class="interval {classes}" x="{low:.1f}" y="{y - 6:.1f}" width="{max(high - low, 1):.1f}" '
            f'height="12" rx="2"/>'
        )
    parts.append(f'<circle class="dot {classes}" cx="{across(row.median):.1f}" cy="{y:.1f}" r="4"/>')
    end = across(max(row.median, row.p99 or 0, row.median_interval.high if row.median_interval else 0))
    parts.append(f'<text class="value" x="{end + 10:.1f}" y="{y + 4:.1f}">{milliseconds(row.median)}</text>')
    title = f"{row.name}: median {milliseconds(row.median)} ms ({millisecond_interval(row.median_interval)})"
    return f"<g><title>{escape(title)}</title>{''.join(parts)}</g>"


def _spectrum_points(row: Row) -> list[tuple[float, float]]:
    farthest = len(row.response_times) / _BEYOND
    shares = 1 - np.logspace(0, -math.log10(farthest), _POINTS)
    return [(float(share), percentile(row.response_times, float(share))) for share in shares]


def _horizontal(y: float, left: int, label: str) -> str:
    return (
        f'<line class="grid" x1="{left}" x2="{_WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _vertical(x: float, top: int, bottom: int, label: str) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>'
    )


def _svg(height: int, title: str, parts: Sequence[str] | Iterator[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )
