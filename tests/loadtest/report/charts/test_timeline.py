from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest
from support.load_reports import make_block, make_digest, make_report, with_target

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.charts.series import Series
from loadtest.report.charts.timeline import timeline
from loadtest.results.block import Block

OPEN = Poisson(rate=100.0)
ONE = ClosedLoop(concurrency=1)


def picture(load: ClosedLoop | Poisson, *blocks: Block) -> str:
    report = make_report(loads=(load,))
    report = msgspec.structs.replace(report, targets=report.targets[:1])
    row = make_digest(with_target(report, 0, blocks=blocks)).loads[0].rows[0]
    return timeline([Series("it", "c0", row)])


def line(drawn: str, title: str) -> np.ndarray:
    found = re.search(rf'points="([^"]*)"><title>it: {title}<', drawn)
    assert found, title
    return np.array([pair.split(",") for pair in found[1].split()], dtype=float)


def test_a_stall_is_seen_where_it_was() -> None:
    times = np.full(1000, 1.0)
    times[400:500] = np.linspace(1000, 1, 100)  # the server stood still from 4 s to 5 s
    drawn = picture(OPEN, make_block(OPEN, times, seconds=10.0))
    rate, due, tail = line(drawn, "answers/s"), line(drawn, "due"), line(drawn, "p99")
    still = rate[np.argmax(rate[:, 1])]  # the lowest rate has the greatest y
    across = (still[0] - rate[0, 0]) / (rate[-1, 0] - rate[0, 0]) * 9.8 + 0.1
    assert 4 <= across < 5
    assert np.ptp(due[:, 1]) < 5 < np.ptp(rate[:, 1])
    worst = tail[np.argmin(tail[:, 1])]
    assert worst[0] == pytest.approx(still[0], abs=1)


def test_due_rate_is_drawn_in_open_loops_only() -> None:
    assert "due" in picture(OPEN, make_block(OPEN, np.ones(100)))
    assert "due" not in picture(ONE, make_block(ONE, np.ones(100)))


def test_errors_have_a_panel_when_there_are_any() -> None:
    assert "errors a second" not in picture(ONE, make_block(ONE, np.ones(100)))
    drawn = picture(ONE, make_block(ONE, np.ones(100), seconds=2.0, failed_at_s=[0.5, 0.5, 1.5]))
    assert "errors a second" in drawn
    assert drawn.count('<path class="errors') == 2
    assert "it: 10 errors/s at 0.5 s" in drawn


@pytest.mark.parametrize(
    ("seconds", "step"), [(5, "0.2"), (30, "0.5"), (60, "1"), (300, "1"), (301, "2"), (7200, "60")]
)
def test_steps_are_a_second_in_all_but_very_long_and_very_short_runs(seconds: int, step: str) -> None:
    assert f"in steps of {step} s" in picture(ONE, make_block(ONE, np.ones(100), seconds=seconds))


def test_nothing_measured() -> None:
    assert picture(ONE) == ""
