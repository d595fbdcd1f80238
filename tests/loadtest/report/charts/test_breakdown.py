from __future__ import annotations

import re

import pytest
from support.load_reports import make_digest, make_report

from loadtest.load.loads import ClosedLoop
from loadtest.report.charts.breakdown import stacked_times
from loadtest.report.charts.series import Series
from loadtest.results.block import ServerTimes

ONE = ClosedLoop(concurrency=1)


def series(*times: ServerTimes) -> list[Series]:
    row = make_digest(make_report(loads=(ONE,)), server_times=times).loads[0].rows[0]
    return [Series("it", "c0", row)]


def test_bars_are_as_long_as_their_parts() -> None:
    found = series(ServerTimes(source="x", requests=1000, seconds={"queue": 0.2, "compute": 0.4}))
    mean = found[0].row.service.mean
    assert mean is not None
    picture = stacked_times(found)
    widths = [float(width) for width in re.findall(r'<rect class="part[^>]*width="([\d.]+)" height="22"', picture)]
    assert len(widths) == 3
    shares = [width / sum(widths) for width in widths]
    assert shares == pytest.approx([0.0002 / mean.value, 0.0004 / mean.value, 1 - 0.0006 / mean.value], abs=0.005)
    assert "it · x: queue 0.200 ms" in picture


def test_the_key_names_every_part_once_and_the_rest_last() -> None:
    first = series(ServerTimes(source="a", requests=1000, seconds={"compute": 0.1}))
    second = series(ServerTimes(source="b", requests=1000, seconds={"<odd>": 0.1, "gateway": 0.1}))
    picture = stacked_times([*first, *second])
    key = re.findall(r'height="12"/><text [^>]*>([^<]*)<', picture)
    assert key[-1] == "client and network"
    assert sorted(key[:-1]) == ["&lt;odd&gt;", "compute", "gateway"]
    looks = re.findall(r'<rect class="part (p\d+)"[^>]*height="12"', picture)
    assert len(set(looks)) == 4


def test_nothing_without_server_times() -> None:
    assert stacked_times(series()) == ""
    assert stacked_times(series(ServerTimes(source="x", requests=0, seconds={}))) == ""
