"""What every picture is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from loadtest.report.scales import Scale

WIDTH = 920
_LONGEST_LABEL = 56  # characters
Points = Sequence[tuple[float, float]]


@dataclass(slots=True, frozen=True)
class Frame:
    """The area between two axes."""

    across: Scale
    upward: Scale

    def grid(self, across: dict[float, str], upward: dict[float, str]) -> str:
        """Lines at values of both axes, with what is written at them."""
        left, right = self.across.start, self.across.end
        bottom, top = self.upward.start, self.upward.end
        parts = []
        for value, label in upward.items():
            y = self.upward(value)
            parts.append(f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(text(left - 8, y + 4, label, "tick", "end"))
        for value, label in across.items():
            x = self.across(value)
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
            parts.append(text(x, bottom + 18, label, "tick", "middle"))
        return "".join(parts)

    def titles(self, across: str, upward: str) -> str:
        """What the axes mean: below the one and above the other."""
        below = text(self.across.end, self.upward.start + 38, f"{across} →", "axis", "end") if across else ""
        return below + text(self.across.start, self.upward.end - 10, f"↑ {upward}", "axis")

    def line(self, points: Points, classes: str, title: str) -> str:
        """A line through ``points``, named on hover."""
        drawn = " ".join(f"{self.across(x):.1f},{self.upward(y):.1f}" for x, y in points)
        return f'<polyline class="{classes}" points="{drawn}"><title>{escape(title)}</title></polyline>'


def text(x: float, y: float, content: str, classes: str, anchor: str = "start") -> str:
    """A line of text."""
    return f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def shortened(label: str) -> str:
    """``label`` with its middle left out where it would take more than its share of the picture."""
    if len(label) <= _LONGEST_LABEL:
        return label
    half = _LONGEST_LABEL // 2
    return f"{label[: half - 1]}…{label[-half:]}"


def group(title: str, parts: Iterable[str]) -> str:
    """Parts that share a title on hover."""
    return f"<g><title>{escape(title)}</title>{''.join(parts)}</g>"


def picture(height: float, title: str, parts: Iterable[str]) -> str:
    """The whole picture, ``WIDTH`` wide."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )


def milliseconds_ticks(ticks: Iterable[float]) -> dict[float, str]:
    """Labels in ms of ticks in seconds."""
    return {tick: f"{tick * 1000:,.6g}" for tick in ticks}


def plain_ticks(ticks: Iterable[float]) -> dict[float, str]:
    """Labels of ticks as they are."""
    return {tick: f"{tick:,.6g}" for tick in ticks}
