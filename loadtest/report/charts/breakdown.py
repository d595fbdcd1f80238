"""Where the time of an answer went, as the servers say: one stacked bar a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadtest.measure.summary import Row
from loadtest.report.charts.series import Series
from loadtest.report.charts.svg import WIDTH, Frame, group, milliseconds_ticks, picture, shortened, text
from loadtest.report.scales import LinearScale
from loadtest.server_times.breakdown import BACKEND_REST, REST, Breakdown, breakdown
from loadtest.units import milliseconds

# Parts that are known have a colour of their own; the others share one.
_COLOURED = ("queue", "batch", "input", "compute", "output", "server", BACKEND_REST, "backend", "gateway", REST)
_TOP, _STEP = 34, 30
_LETTER = 6.9  # pixels


def stacked_times(series: Sequence[Series]) -> str:
    """Mean service times by part, in the order of ``loadtest.server_times``."""
    bars = [(f"{one.label} · {found.source}", found) for one in series if (found := _breakdown(one.row))]
    if not bars:
        return ""
    left = 24 + _LETTER * max(len(shortened(name)) for name, _ in bars)
    bottom = _TOP + _STEP * len(bars)
    longest = max(sum(seconds for _, seconds in found.parts) for _, found in bars)
    across = LinearScale(0, longest, left, WIDTH - 84)
    frame = Frame(across, LinearScale(0, 1, bottom, _TOP))
    parts = [frame.grid(milliseconds_ticks(across.ticks()), {}), *_key([found for _, found in bars], 8)]
    for index, (name, found) in enumerate(bars):
        parts += _bar(name, found, across, _TOP + _STEP * index)
    parts.append(text(WIDTH - 84, bottom + 38, "mean service time, ms →", "axis", "end"))
    return picture(bottom + 46, "Where the time went", parts)


def _breakdown(row: Row) -> Breakdown | None:
    if row.service.mean is None:
        return None
    return breakdown(row.server_times, row.service.mean.value, through_gateway=row.target.via == "gateway")


def _look(part: str) -> str:
    return f"part p{_COLOURED.index(part) if part in _COLOURED else len(_COLOURED)}"


def _bar(name: str, found: Breakdown, across: LinearScale, top: float) -> Iterator[str]:
    yield text(8, top + _STEP / 2 + 4, shortened(name), "label small")
    total = sum(seconds for _, seconds in found.parts)
    begin = 0.0
    for part, seconds in found.parts:
        x, width = across(begin), across(begin + seconds) - across(begin)
        words = milliseconds(seconds)
        size = f'x="{x:.1f}" y="{top + 4:.1f}" width="{max(width, 0.5):.1f}" height="22"'
        inside = [text(x + width / 2, top + 19, words, "inside", "middle")] if width > _LETTER * len(words) + 4 else []
        title = f"{name}: {part} {words} ms ({seconds / total:.0%})"
        yield group(title, [f'<rect class="{_look(part)}" {size}/>', *inside])
        begin += seconds
    yield text(across(begin) + 8, top + _STEP / 2 + 4, milliseconds(total), "value")


def _key(found: Sequence[Breakdown], x: float) -> Iterator[str]:
    """The parts of all bars; what nobody accounts for comes last."""
    names = dict.fromkeys(part for one in found for part, _ in one.parts)
    for part in sorted(names, key=lambda name: name == REST):
        yield f'<rect class="{_look(part)}" x="{x:.1f}" y="8" width="12" height="12"/>'
        yield text(x + 17, 18, part, "tick")
        x += 17 + _LETTER * len(part) + 20
