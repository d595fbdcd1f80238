"""A real browser opens the pages from disk, without a network, and what it shows is looked at."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.browser import find_browser
from support.load_reports import make_digest, make_report, make_search, with_invalid

from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.compare_runs import Run
from loadtest.report.html import save_page
from loadtest.report.overlay import save_overlay

pytestmark = pytest.mark.needs_browser

LOADS = (*(ClosedLoop(concurrency=number) for number in (1, 8, 64)), Poisson(rate=300.0))
WIDTH = 1280


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("pages")
    digest = with_invalid(make_digest(make_report(loads=LOADS, search=make_search())))
    save_page(digest, directory / "report.html")
    other = make_digest(make_report(loads=LOADS, seed=2, speed=0.8))
    save_overlay([Run("old", digest), Run("new", other)], directory / "overlay.html")
    return {path.stem: path for path in directory.iterdir()}


class Seen:
    """A page in the browser, with everything it complained about and asked for."""

    def __init__(self, browser: Any, path: Path, scheme: str) -> None:
        self.context = browser.new_context(
            viewport={"width": WIDTH, "height": 900}, device_scale_factor=0.5, color_scheme=scheme, offline=True
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)


@pytest.fixture(scope="module", params=["report light", "report dark", "overlay light"])
def seen(request: pytest.FixtureRequest, browser: Any, pages: dict[str, Path]) -> Iterator[Seen]:
    name, scheme = request.param.split()
    opened = Seen(browser, pages[name], scheme)
    yield opened
    opened.context.close()


def test_nothing_is_complained_about_and_nothing_leaves(seen: Seen) -> None:
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [seen.url]


def test_every_picture_has_a_size_and_content(seen: Seen) -> None:
    sizes = seen.page.eval_on_selector_all(
        "svg.chart",
        """charts => charts.map(chart => {
            const box = chart.getBoundingClientRect();
            return [box.width, box.height, chart.querySelectorAll('polyline, rect, circle, path').length];
        })""",
    )
    assert len(sizes) >= 8
    for width, height, marks in sizes:
        assert width > 600
        assert height > 60
        assert marks >= 3


def test_no_text_is_cut_off_by_its_picture(seen: Seen) -> None:
    outside = seen.page.evaluate(
        """() => [...document.querySelectorAll('svg.chart')].flatMap(chart => {
            const frame = chart.getBoundingClientRect();
            return [...chart.querySelectorAll('text')].filter(word => {
                const box = word.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).map(word => word.textContent);
        })"""
    )
    assert outside == []


def test_words_of_a_picture_do_not_overlap(seen: Seen) -> None:
    overlapping = seen.page.evaluate(
        """() => [...document.querySelectorAll('svg.chart')].flatMap(chart => {
            const words = [...chart.querySelectorAll('text')];
            const boxes = words.map(word => [word.getBoundingClientRect(), word.textContent]);
            return boxes.flatMap(([one, text], index) => boxes.slice(index + 1).filter(([other]) =>
                one.left < other.right - 1 && other.left < one.right - 1
                && one.top < other.bottom - 4 && other.top < one.bottom - 4
            ).map(([, other]) => `${text} | ${other}`));
        })"""
    )
    assert overlapping == []


def test_no_sideways_scrolling(seen: Seen) -> None:
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    wide = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).length"
    assert seen.page.eval_on_selector_all(".scroll", wide) == 0


def test_the_screenshot_shows_many_colours(seen: Seen) -> None:
    picture = Image.open(io.BytesIO(seen.page.screenshot(full_page=True))).convert("RGB")
    assert picture.height > 1000
    colours = picture.getcolors(maxcolors=1 << 24)
    assert colours is not None
    assert len(colours) > 200
    commonest = max(count for count, _ in colours)
    assert commonest < 0.97 * picture.width * picture.height


def test_light_and_dark_differ(browser: Any, pages: dict[str, Path]) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        seen = Seen(browser, pages["report"], scheme)
        picture = Image.open(io.BytesIO(seen.page.screenshot())).convert("L")
        brightness[scheme] = sum(picture.resize((8, 8)).getdata()) / 64
        seen.context.close()
    assert brightness["dark"] < 80 < 200 < brightness["light"]


def test_a_narrow_window_scrolls_the_tables_and_not_the_page(browser: Any, pages: dict[str, Path]) -> None:
    seen = Seen(browser, pages["report"], "light")
    seen.page.set_viewport_size({"width": 420, "height": 800})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 420
    seen.context.close()
