from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from support.load_reports import make_digest, make_report, with_target

from loadtest.errors import ResultsError
from loadtest.load.loads import ClosedLoop, Poisson
from loadtest.report.digest import Digest
from loadtest.report.hdr import SIGNIFICANT_FIGURES, interval_log, percentile_distribution, save_histograms
from loadtest.report.track import track
from loadtest.statistics.quantiles import percentile

LOADS = (ClosedLoop(concurrency=1), Poisson(rate=300.0))
PRECISION = 10**-SIGNIFICANT_FIGURES


@pytest.fixture(scope="module")
def digest() -> Digest:
    return make_digest(make_report(loads=LOADS))


def test_distribution_is_within_the_precision(digest: Digest) -> None:
    row = digest.loads[0].rows[0]
    lines = re.findall(r"^ +([\d.]+) ([\d.]+) +(\d+)(?: +([\d.]+))?$", percentile_distribution(row), re.MULTILINE)
    assert len(lines) > 50
    for value, share, count, inverse in lines[1:]:
        exact = percentile(row.response_times, float(share)) * 1000
        assert float(value) == pytest.approx(exact, rel=2 * PRECISION, abs=0.0006)
        assert int(count) >= float(share) * row.requests * (1 - 1e-9)
        if inverse:
            assert float(inverse) == pytest.approx(1 / (1 - float(share)), rel=0.01, abs=0.006)
    assert lines[-1][2] == str(row.requests)


def test_foot_has_mean_and_deviation_in_one_unit(digest: Digest) -> None:
    row = digest.loads[0].rows[0]
    text = percentile_distribution(row)
    mean, deviation = map(float, re.search(r"Mean +=\s+([\d.]+), StdDeviation +=\s+([\d.]+)\]", text).groups())  # type: ignore[union-attr]
    assert mean == pytest.approx(np.mean(row.response_times) * 1000, abs=0.001)
    assert deviation == pytest.approx(np.std(row.response_times) * 1000, abs=0.001)
    assert f"Total count    = {row.requests:12d}]" in text


def test_log_is_read_back_by_the_package(digest: Digest, tmp_path: Path) -> None:
    rows = digest.loads[1].rows
    path = tmp_path / "x.hlog"
    path.write_text(interval_log(rows, digest.report.started))
    reader = HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000_000, SIGNIFICANT_FIGURES))
    intervals = list(iter(reader.get_next_interval_histogram, None))
    assert reader.get_start_time_sec() == pytest.approx(1767323045)
    assert len(intervals) == 10 * len(rows)
    starts = [interval.get_start_time_stamp() for interval in intervals]
    assert starts == sorted(starts)
    for row in rows:
        path_of_row = track(row)
        own = [interval for interval in intervals if interval.get_tag() == re.sub(r"\s", "-", row.name)]
        assert sum(interval.get_total_count() for interval in own) == row.requests
        for second, interval in enumerate(own):
            due = (path_of_row.due >= second) & (path_of_row.due < second + 1)
            times = np.sort(path_of_row.response[due])
            assert interval.get_total_count() == len(times)
            for share in (50, 90, 99, 100):
                exact = percentile(times, share / 100) * 1e9
                assert interval.get_value_at_percentile(share) == pytest.approx(exact, rel=2 * PRECISION)


def test_files(digest: Digest, tmp_path: Path) -> None:
    written = save_histograms(digest, tmp_path / "result")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)
    names = {path.name for path in written}
    assert "result.closed-1.onnxruntime-gateway-HTTP.hgrm" in names
    assert "result.poisson-300.hlog" in names
    assert len(names) == 2 * (3 + 1)


def test_targets_without_times_are_left_out(tmp_path: Path) -> None:
    report = make_report(loads=LOADS[:1])
    for index in range(3):
        report = with_target(report, index, blocks=())
    assert save_histograms(make_digest(report), tmp_path / "result") == []


def test_directory_that_is_missing(digest: Digest, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"cannot write .*none.*: No such file"):
        save_histograms(digest, tmp_path / "none" / "result")


def test_names_that_make_the_same_file_name_get_a_number(tmp_path: Path) -> None:
    report = make_report(loads=LOADS[:1])
    for index, name in enumerate(("a b", "a/b", "a-b")):
        report = with_target(report, index, name=name)
    written = {path.name for path in save_histograms(make_digest(report), tmp_path / "result")}
    stem = "result.closed-1.a-b"
    assert written == {f"{stem}.hgrm", f"{stem}-2.hgrm", f"{stem}-3.hgrm", "result.closed-1.hlog"}
