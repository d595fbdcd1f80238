"""How the search for the highest rate went: each rate that was tried, and whether it met the SLO."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.report.charts.svg import WIDTH, Frame, group, picture, plain_ticks, text
from loadtest.report.scales import LinearScale, LogScale
from loadtest.results.search import SearchResult, Trial
from loadtest.units import per_second

_LEFT, _RIGHT = 72, WIDTH - 24
_SAID = {True: "met", False: "not met", None: "not valid"}


def trials(search: SearchResult) -> str:
    """Rate against number of the trial; the answer is the band between the two lines."""
    tried = [trial for trial in search.trials if trial.rate > 0]
    if not tried:
        return ""
    rates = [trial.rate for trial in tried]
    frame = Frame(
        LinearScale(0.5, len(tried) + 0.5, _LEFT, _RIGHT), LogScale(min(rates) * 0.9, max(rates) * 1.15, 272, 46)
    )
    every = max(len(tried) // 20, 1)
    numbers = {float(index): str(index) for index in range(1, len(tried) + 1, every)}
    parts = [frame.grid(numbers, plain_ticks(frame.upward.ticks())), *_answer(search, frame)]
    parts += [_mark(index, trial, frame) for index, trial in enumerate(tried, 1)]
    parts.append(frame.titles("trial", "requests/s: ● met, ✕ not met, ○ not valid"))
    return picture(316, "Search for the highest rate", parts)


def _answer(search: SearchResult, frame: Frame) -> Iterator[str]:
    if search.low > 0:
        low = frame.upward(search.low)
        high = frame.upward(search.high) if search.high else low
        yield (
            f'<rect class="answer" x="{_LEFT}" y="{high:.1f}" width="{_RIGHT - _LEFT}" '
            f'height="{max(low - high, 1.5):.1f}"/>'
        )


def _mark(index: int, trial: Trial, frame: Frame) -> str:
    x, y = frame.across(index), frame.upward(trial.rate)
    if trial.met is False:
        mark = f'<path class="notmet" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"/>'
    else:
        look = "met" if trial.met else "notvalid"
        mark = f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
    title = f"{trial.stage}: {per_second(trial.rate)} requests/s, {_SAID[trial.met]}"
    stage = [text(x, y - 11, trial.stage[0], "tick", "middle")]
    return group(f"{title} ({trial.reason})" if trial.reason else title, [mark, *stage])
