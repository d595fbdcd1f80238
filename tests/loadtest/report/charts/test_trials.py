from __future__ import annotations

import re

import msgspec
from support.load_reports import make_search

from loadtest.report.charts.trials import trials


def test_every_trial_has_a_mark_of_its_own_shape() -> None:
    picture = trials(make_search())
    assert len(re.findall('class="met"', picture)) == 5
    assert len(re.findall('class="notmet"', picture)) == 2
    assert len(re.findall('class="notvalid"', picture)) == 1
    assert "validate: 325 requests/s, not valid (sent late)" in picture
    assert "double: 400 requests/s, not met" in picture


def test_the_answer_is_a_band_and_a_line_when_it_is_open_above() -> None:
    def height(high: float | None, low: float = 325.0) -> list[str]:
        picture = trials(msgspec.structs.replace(make_search(), low=low, high=high))
        return re.findall(r'class="answer".*?height="([\d.]+)"', picture)

    assert float(height(350.0)[0]) > 5
    assert height(None) == ["1.5"]
    assert height(350.0, low=0.0) == []


def test_no_trial_no_picture() -> None:
    assert trials(msgspec.structs.replace(make_search(), trials=())) == ""
