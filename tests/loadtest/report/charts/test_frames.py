from __future__ import annotations

import functools
import re
import xml.etree.ElementTree as ET

import pytest
from support.load_reports import make_digest, make_report, make_search, with_target

from loadtest.report.compare_runs import Run
from loadtest.report.html import render_page
from loadtest.report.overlay import render_overlay


@functools.cache
def pictures() -> list[str]:
    digest = make_digest(make_report(search=make_search()))
    pages = render_page(digest) + render_overlay([Run("old", digest), Run("new", make_digest(make_report(speed=0.5)))])
    return re.findall(r'<svg class="chart".*?</svg>', pages, re.DOTALL)


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: re.search('label="([^"]*)', picture)[1])  # type: ignore[index]
def test_everything_stays_inside_its_picture(picture: str) -> None:
    root = ET.fromstring(picture)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    points = [pair.split(",") for line in root.iter("polyline") for pair in line.attrib["points"].split()]
    points += [(dot.attrib["cx"], dot.attrib["cy"]) for dot in root.iter("circle")]
    points += [(word.attrib["x"], word.attrib["y"]) for word in root.iter("text")]
    for bar in root.iter("rect"):
        x, y = float(bar.attrib["x"]), float(bar.attrib["y"])
        points += [(x, y), (x + float(bar.attrib["width"]), y + float(bar.attrib["height"]))]  # type: ignore[list-item]
    assert len(points) > 10
    for x, y in points:  # type: ignore[assignment]
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: re.search('label="([^"]*)', picture)[1])  # type: ignore[index]
def test_words_do_not_overlap(picture: str) -> None:
    boxes = []
    for word in ET.fromstring(picture).iter("text"):
        x, y, length = float(word.attrib["x"]), float(word.attrib["y"]), 6.2 * len(word.text or "")
        left = {"start": x, "middle": x - length / 2, "end": x - length}[word.attrib["text-anchor"]]
        boxes.append((left, y - 9, left + length, y, word.text))
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, f"{one[4]!r} overlaps {other[4]!r}"


def test_thousands_of_points_are_thinned() -> None:
    assert max(len(picture) for picture in pictures()) < 60_000


def test_long_names_leave_room_for_the_numbers() -> None:
    report = with_target(make_report(), 0, name="x" * 300)
    page = render_page(make_digest(report))
    for label in ("Medians with confidence intervals", "Where the time went"):
        picture = re.search(rf'<svg class="chart"[^>]*aria-label="{label}".*?</svg>', page, re.DOTALL)
        assert picture
        first = min(float(line.attrib["x1"]) for line in ET.fromstring(picture[0]).iter("line"))
        assert first < 500
