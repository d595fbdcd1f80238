"""The page's picture: how far each engine is from the source, in ULP, against what is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from model_store.parity.difference import Difference
from model_store.parity.figures import figure
from model_store.parity.tolerance import ulp

MOST_SETS = 40
_WIDTH, _LEFT, _RIGHT, _TOP, _STEP = 940, 250, 16, 10, 24
_ZERO = _LEFT + 14  # where equal answers stand: a logarithmic axis has no zero
_START = _LEFT + 44


@dataclass(slots=True, frozen=True)
class _LogScale:
    """Maps ``low`` … ``high`` to pixels; zero has a place of its own, infinity is at the end."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        if value <= 0:
            return _ZERO
        share = math.log(min(value, self.high) / self.low) / math.log(self.high / self.low)
        return _START + share * (_WIDTH - _RIGHT - _START)

    def ticks(self) -> list[float]:
        """Powers of ten, nine at most."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1, max(1, (last - first + 8) // 9))]


def ulp_chart(sets: Mapping[str, Sequence[Difference]], engines: Sequence[str]) -> str:
    """One line a set of inputs, one dot an engine; the line of dashes is what is allowed.

    Args:
        sets: the differences from the source in one float output, by set of inputs.
        engines: all engines, in the order of their colours.
    """
    shown = dict(sorted(sets.items(), key=lambda item: -max(found.max_ulp for found in item[1]))[:MOST_SETS])
    rows = [(name, found) for name, found in sets.items() if name in shown]
    limits = [_allowed_ulp(found[0]) for _, found in rows]
    values = [*limits, *(found.max_ulp for _, row in rows for found in row)]
    known = [value for value in values if 0 < value < math.inf] or [1.0]
    across = _LogScale(min(known) / 4, max(known) * 4)
    bottom = _TOP + _STEP * len(rows)
    parts = [
        _vertical(_ZERO, bottom, "0"),
        *(_vertical(across(tick), bottom, f"{tick:g}") for tick in across.ticks()),
        _limit([across(limit) for limit in limits]),
        *(_row(name, found, across, index, engines) for index, (name, found) in enumerate(rows)),
        f'<text class="axis" x="{_LEFT}" y="{bottom + 38}">largest difference from the source, ULP →</text>',
    ]
    title = "Largest difference in units in the last place, by set of inputs"
    box = f"0 0 {_WIDTH} {bottom + 46}"
    return f'<svg class="chart" viewBox="{box}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def dot(engine: str, engines: Sequence[str]) -> str:
    """The engine's mark, for legends."""
    return (
        '<svg class="swatch" viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">'
        f'<circle class="dot {_colour(engine, engines)}" cx="5" cy="5" r="4"/></svg>'
    )


def _allowed_ulp(found: Difference) -> float:
    return found.allowed / ulp(found.datatype, found.scale)


def _colour(engine: str, engines: Sequence[str]) -> str:
    return f"b{engines.index(engine) % 6}"


def _row(name: str, row: Sequence[Difference], across: _LogScale, index: int, engines: Sequence[str]) -> str:
    y = _TOP + _STEP * (index + 0.5)
    label = name if len(name) <= 34 else f"{name[:33]}…"
    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<text class="label" x="4" y="{y + 4:.1f}">{escape(label)}<title>{escape(name)}</title></text>',
    ]
    for found in row:
        engine = found.pair[1]
        title = f"{name}, {engine}: {figure(found.max_ulp)} ULP"
        # Engines that are equally far stand side by side.
        shift = 4 * (engines.index(engine) - (len(engines) - 1) / 2)
        place = f'cx="{across(found.max_ulp):.1f}" cy="{y + shift:.1f}" r="4"'
        colour = _colour(engine, engines)
        parts.append(f'<circle class="dot {colour}" {place}><title>{escape(title)}</title></circle>')
    return f"<g>{''.join(parts)}</g>"


def _limit(places: Sequence[float]) -> str:
    points = " ".join(f"{x:.1f},{_TOP + _STEP * end}" for row, x in enumerate(places) for end in (row, row + 1))
    return f'<polyline class="limit" points="{points}"><title>allowed</title></polyline>'


def _vertical(x: float, bottom: int, label: str) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>'
    )
