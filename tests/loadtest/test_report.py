from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from rich.console import Console

from loadtest.report.html import render_page
from loadtest.report.scales import LogScale, log_ticks
from loadtest.report.summary_json import summary_document
from loadtest.report.table import report_tables
from loadtest.report.units import milliseconds, per_second
from loadtest.results import Report, pack

VOID = {"meta", "br"}


class Nesting(HTMLParser):
    """Checks that every element is closed by its own end tag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def printed(report: Report, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(report_tables(report))
    return capture.get()


def test_table_fits_80_columns_and_cuts_nothing_off(report: Report) -> None:
    text = printed(report)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in ("onnxruntime", "gateway HTTP", "direct HTTP", "2.04", "2.01–2.08", "Closed loop, 64 in flight"):
        assert part in text


def test_table_shows_errors_problems_and_a_busy_generator(report: Report) -> None:
    first, second = report.targets
    blocks = tuple(msgspec.structs.replace(block, errors={"timeout": 3}, generator_cpu=0.95) for block in first.blocks)
    first = msgspec.structs.replace(first, blocks=blocks)
    second = msgspec.structs.replace(second, blocks=(), problem="connect: Connection refused")
    text = printed(msgspec.structs.replace(report, targets=(first, second), interrupted=True))
    assert "Errors of onnxruntime gateway HTTP: 30 × timeout" in text
    assert "✗ onnxruntime direct HTTP: connect: Connection refused" in text
    assert "Warning: above 80% of a core the numbers measure the tester too" in text
    assert "Warning: interrupted" in text


def test_table_doubts_late_sends_and_stolen_time(report: Report) -> None:
    first, second = report.targets
    late = pack(np.full(70, 5_000_000))
    blocks = tuple(msgspec.structs.replace(block, send_lag=late) for block in first.blocks[:10])
    first = msgspec.structs.replace(first, blocks=blocks)
    changed = msgspec.structs.replace(report, targets=(first, second), phases=report.phases[:1], stolen_cpu=0.2)
    text = " ".join(printed(changed).split())
    assert "too busy to send on time (onnxruntime gateway HTTP: 5.00 ms late at p99)" in text
    assert "other guests of the host took 20% of this machine's CPU time" in text
    assert "Warning" not in printed(report)


def test_page_is_whole_and_loads_nothing(report: Report) -> None:
    page = render_page(report)
    parser = Nesting()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"https?://|src=|@import|url\(|<link|<script", page)
    assert page.count('class="chart"') == 4


def test_page_escapes_what_servers_say(report: Report) -> None:
    bad = msgspec.structs.replace(report.targets[0], problem="<script>alert(1)</script>")
    page = render_page(msgspec.structs.replace(report, targets=(bad, *report.targets[1:])))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "ONNX Runtime &lt;1&gt;" in page


def test_pictures_stay_inside_their_frames(report: Report) -> None:
    for picture in re.findall(r'<svg class="chart".*?</svg>', render_page(report), re.DOTALL):
        root = ET.fromstring(picture)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        points = [pair.split(",") for line in root.iter("polyline") for pair in line.attrib["points"].split()]
        circles = [(dot.attrib["cx"], dot.attrib["cy"]) for dot in root.iter("circle")]
        assert points or circles
        for x, y in (*points, *circles):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_page_without_any_measurement(report: Report) -> None:
    targets = tuple(msgspec.structs.replace(target, blocks=(), problem="down") for target in report.targets)
    page = render_page(msgspec.structs.replace(report, targets=targets, interrupted=True))
    assert "Interrupted" in page
    assert 'class="chart"' not in page


def test_summary_for_programs_is_in_seconds(report: Report) -> None:
    document = msgspec.json.decode(msgspec.json.encode(summary_document(report)))
    gateway = document["phases"][0]["targets"][0]
    assert gateway["via"] == "gateway"
    assert gateway["p50"] == pytest.approx(0.00204)
    assert gateway["p99"] == pytest.approx(0.00209)
    assert document["phases"][1]["targets"][0]["p99"] is None
    assert gateway["requests"] == 700


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.00012345, "0.123"),
        (0.0012, "1.20"),
        (0.0123, "12.3"),
        (1.5, "1,500"),
        (0.00099999996, "1.00"),
        (-0.0002, "-0.200"),
    ],
)
def test_milliseconds(seconds: float | None, text: str) -> None:
    assert milliseconds(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.12345, "0.123"), (4.0, "4.00"), (45.67, "45.7"), (123.4, "123"), (12345.0, "12,345")]
)
def test_per_second(rate: float, text: str) -> None:
    assert per_second(rate) == text


def test_log_scale_and_ticks() -> None:
    scale = LogScale(0.001, 0.1, 0, 100)
    assert [scale(value) for value in (0.001, 0.01, 0.1)] == pytest.approx([0, 50, 100])
    assert LogScale(1, 1, 0, 100)(1) == 50
    assert log_ticks(0.0015, 0.021) == pytest.approx([0.002, 0.005, 0.01, 0.02])
