from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from support.load_reports import make_digest, make_report, make_search, with_invalid, with_target

from loadtest.errors import ResultsError
from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.digest import Digest
from loadtest.report.html import render_page, save_page

VOID = {"meta", "br", "link"}
ONE = (ClosedLoop(concurrency=1),)


class Nesting(HTMLParser):
    """Checks that every element is closed by its own end tag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.count += 1

    def handle_endtag(self, tag: str) -> None:
        self.count += 1
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def digest() -> Digest:
    return with_invalid(make_digest(make_report(search=make_search())))


def test_page_is_whole_and_loads_nothing(digest: Digest) -> None:
    page = render_page(digest)
    parser = Nesting()
    parser.feed(page)
    assert parser.open == []
    assert parser.count > 1000
    assert not re.search(r"https?://|src=|@import|url\(|<script", page)
    assert re.findall(r"<link [^>]*>", page) == ['<link rel="icon" href="data:,">']


def test_every_picture_is_there(digest: Digest) -> None:
    names = re.findall(r'<svg class="chart"[^>]*aria-label="([^"]*)"', render_page(digest))
    assert names == [
        "Search for the highest rate",
        *[
            "Medians with confidence intervals",
            "Percentile spectrum",
            "Rate, response times and errors over time",
            "Where the time went",
        ]
        * 4,
        *["Latency against throughput"] * 2,
    ]


def test_words_are_explained(digest: Digest) -> None:
    page = render_page(digest)
    for word in ("Response time", "Service time", "INVALID", "Grey", "95 % CI", "Errors", "Steady"):
        assert f"<p><b>{word}</b> " in page


def test_banner_names_the_reason(digest: Digest) -> None:
    page = render_page(replace(digest, report=msgspec.structs.replace(digest.report, search=None)))
    assert '<div class="banner"><b>INVALID</b>' in page
    assert "<b>onnxruntime gateway HTTP</b>, Closed loop, 1 in flight: sent 4.2 ms late at p99" in page
    assert page.count('<span class="badge">INVALID</span>') == 1
    assert "banner" not in render_page(make_digest(make_report(loads=ONE))).split("</style>")[1]


def test_a_search_that_has_an_answer_is_valid_whatever_single_trials_were(digest: Digest) -> None:
    assert digest.report.search is not None
    assert "banner" not in render_page(digest).split("</style>")[1]
    unanswered = msgspec.structs.replace(digest.report.search, low=0.0, high=None)
    report = msgspec.structs.replace(digest.report, search=unanswered)
    assert "banner" in render_page(replace(digest, report=report)).split("</style>")[1]


def test_environment_is_told(digest: Digest) -> None:
    page = render_page(digest)
    for part in (
        "Some CPU @ 2.60GHz, 2 cores, 8 GiB",
        "OMP_NUM_THREADS 1",
        "numpy 2.3.1",
        "0123456789abcdef0123456789abcdef01234567-dirty",
        "arrivals 11, samples 22, payloads 33",
        'title="' + "ab" * 32,
        "31,234",
        "digit-3.npy",
        "between 325 and 350 requests/s",
    ):
        assert part in page


def test_page_escapes_what_servers_say() -> None:
    report = make_report(loads=ONE)
    bad = "<script>alert(1)</script>"
    report = with_target(report, 0, name=bad, backend=bad, server=bad, problem=bad)
    digest = with_invalid(make_digest(report), bad)
    row = digest.loads[0].rows[0]
    row = replace(row, details={"HTTP 503": bad}, errors={"HTTP 503": 1}, warnings=(bad,))
    digest = replace(digest, loads=(replace(digest.loads[0], rows=(row, *digest.loads[0].rows[1:])),))
    page = render_page(digest)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 8


def test_percentiles_with_too_few_samples_are_grey() -> None:
    report = make_report(loads=ONE)
    page = render_page(make_digest(with_target(report, 0, blocks=report.targets[0].blocks[:1])))
    line = next(line for line in page.split("<tr>") if "</svg> onnxruntime gateway HTTP" in line)
    assert line.count('class="number grey" title="too few samples"') == 2  # p99 and p99.9 of 620 times


def test_page_without_any_measurement() -> None:
    report = make_report(loads=ONE, interrupted=True)
    for index in range(3):
        report = with_target(report, index, blocks=(), problem="down")
    page = render_page(make_digest(report))
    assert "Interrupted" in page
    assert 'class="chart"' not in page


def test_a_single_time_is_no_crash() -> None:
    load = Poisson(rate=1.0)
    report = make_report(loads=(load,))
    for index, target in enumerate(report.targets):
        report = with_target(report, index, blocks=(msgspec.structs.replace(target.blocks[0]),))
    assert 'class="chart"' in render_page(make_digest(report))


def test_page_is_written_into_a_new_folder(digest: Digest, tmp_path: Path) -> None:
    save_page(digest, tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == render_page(digest)


def test_place_that_cannot_be_written_to_is_named(digest: Digest, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match=r"cannot write .*file/page\.html: "):
        save_page(digest, tmp_path / "file" / "page.html")
