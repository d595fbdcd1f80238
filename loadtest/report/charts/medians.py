"""Medians with their intervals, and how far it is to the 99th percentile."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.report.charts.series import Series
from loadtest.report.charts.svg import WIDTH, Frame, group, milliseconds_ticks, picture, shortened, text
from loadtest.report.scales import LinearScale, LogScale
from loadtest.statistics.estimate import Estimate
from loadtest.units import millisecond_interval, milliseconds

_STEP = 26
_LETTER = 7.2  # pixels


def medians(series: Sequence[Series]) -> str:
    """One target a line."""
    drawn = [(one, median) for one in series if (median := one.row.median)]
    if not drawn:
        return ""
    left = 34 + _LETTER * max(len(shortened(one.label)) for one, _ in drawn)
    top, bottom = 8, 8 + _STEP * len(drawn)
    values = [value for one, median in drawn for value in (median.value, _tail(one), *(median.interval or ())) if value]
    across = LogScale(min(values), max(values), left, WIDTH - 84)
    frame = Frame(across, LinearScale(0, len(drawn), bottom, top))
    marks = [_marks(one, median, across, top + _STEP * (index + 0.5)) for index, (one, median) in enumerate(drawn)]
    grid = frame.grid(milliseconds_ticks(across.ticks()), {})
    label = text(WIDTH - 84, bottom + 38, "response time, ms →", "axis", "end")
    return picture(bottom + 46, "Medians with confidence intervals", [grid, *marks, label])


def _tail(one: Series) -> float | None:
    estimate = one.row.response.percentiles.get(0.99)
    return estimate.value if estimate and estimate.enough else None


def _marks(one: Series, median: Estimate, across: LogScale, y: float) -> str:
    x, tail, look = across(median.value), _tail(one), one.look
    parts = [text(8, y + 4, shortened(one.label), "label")]
    if tail is not None:
        end = across(tail)
        parts.append(f'<line class="reach {look}" x1="{x:.1f}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<path class="tail {look}" d="M{end:.1f} {y - 5:.1f}v10"/>')
    if median.interval is not None:
        low, high = across(median.interval.low), across(median.interval.high)
        parts.append(
            f'<rect class="interval {look}" x="{low:.1f}" y="{y - 6:.1f}" width="{max(high - low, 1):.1f}" '
            'height="12" rx="2"/>'
        )
    parts.append(f'<circle class="dot {look}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    far = across(max(median.value, tail or 0, median.interval.high if median.interval else 0))
    parts.append(text(far + 10, y + 4, milliseconds(median.value), "value"))
    title = f"{one.label}: median {milliseconds(median.value)} ms ({millisecond_interval(median.interval)})"
    return group(title if tail is None else f"{title}, p99 {milliseconds(tail)} ms", parts)
