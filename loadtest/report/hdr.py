"""Exports for HdrHistogram's tools: percentile distributions (``.hgrm``) and interval logs (``.hlog``)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from loadtest.clock import NS
from loadtest.errors import ResultsError
from loadtest.measure.summary import Row
from loadtest.report.digest import Digest
from loadtest.report.track import track

SIGNIFICANT_FIGURES = 3
_HIGHEST = 3_600 * NS  # ns
_TICKS_PER_HALF = 5
_MS = 1_000_000  # ns
_INTERVAL = 1.0  # seconds


def save_histograms(digest: Digest, stem: Path) -> list[Path]:
    """Write ``STEM.LOAD.TARGET.hgrm`` for each target and load, and ``STEM.LOAD.hlog`` with all targets of a load.

    Raises:
        ResultsError: the directory or the disk does not take a file.
    """
    written = []
    for one in digest.loads:
        load = _file_name(one.load.spec)
        measured = [row for row in one.rows if row.requests]
        texts: dict[str, str] = {}
        for row in measured:
            name = f"{stem.name}.{load}.{_file_name(row.name)}"
            texts[_free(name, ".hgrm", texts)] = percentile_distribution(row)
        if measured:
            texts[f"{stem.name}.{load}.hlog"] = interval_log(measured, digest.report.started)
        for name, text in texts.items():
            path = stem.with_name(name)
            try:
                path.write_text(text, encoding="ascii")
            except OSError as error:
                raise ResultsError(f"cannot write {path}: {error.strerror}") from None
            written.append(path)
    return written


def percentile_distribution(row: Row) -> str:
    """Response times in ms, as HdrHistogram's ``outputPercentileDistribution`` and wrk2 print them."""
    times = row.response_times
    histogram = _histogram(np.asarray(times * NS, dtype=np.int64))
    return "\n".join(_distribution(histogram, times)) + "\n"


def interval_log(rows: Iterable[Row], started: str) -> str:
    """Response times in ns by second of due time; each interval is tagged with its target.

    The log's time is the run's axis: the windows of a target one after the other, targets in parallel. Warm-up that was
    found is left out, as everywhere.
    """
    began = datetime.fromisoformat(started)
    intervals = sorted((begin, length, tag, text) for row in rows for begin, length, tag, text in _intervals(row))
    lines = [
        "#[Histogram log format version 1.2]",
        f"#[StartTime: {began.timestamp():.3f} (seconds since epoch), {began:%Y-%m-%dT%H:%M:%SZ}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
        *(f"Tag={tag},{begin:.3f},{length:.3f},{text}" for begin, length, tag, text in intervals),
    ]
    return "\n".join(lines) + "\n"


def _intervals(row: Row) -> Iterator[tuple[float, float, str, str]]:
    path = track(row).settled(row.warm_up or 0.0)
    tag = re.sub(r"[\s,]+", "-", row.name.encode("ascii", "replace").decode())
    for begin in np.arange(0, path.seconds, _INTERVAL):
        low, high = np.searchsorted(path.due, (begin, begin + _INTERVAL))
        times = np.rint(path.response[low:high] * NS).astype(np.int64)
        length = min(_INTERVAL, path.seconds - float(begin))
        greatest = float(times.max()) / _MS if len(times) else 0.0
        yield float(begin), length, tag, f"{greatest:.3f},{_histogram(times).encode().decode('ascii')}"


def _histogram(times: npt.NDArray[np.int64]) -> HdrHistogram:
    histogram = HdrHistogram(1, _HIGHEST, SIGNIFICANT_FIGURES)
    values, counts = np.unique(np.clip(times, 1, _HIGHEST), return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return histogram


def _distribution(histogram: HdrHistogram, times: npt.NDArray[np.float64]) -> Iterator[str]:
    # The package prints the deviation in other units than the mean; this does not.
    yield f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}"
    yield ""
    for step in histogram.get_percentile_iterator(_TICKS_PER_HALF):
        share = step.percentile_level_iterated_to / 100
        line = f"{step.value_iterated_to / _MS:12.3f} {share:14.12f} {step.total_count_to_this_value:10d}"
        yield line if share >= 1 else f"{line} {1 / (1 - share):14.2f}"
    yield f"#[Mean    = {times.mean() * 1000:12.3f}, StdDeviation   = {times.std() * 1000:12.3f}]"
    yield f"#[Max     = {times[-1] * 1000:12.3f}, Total count    = {len(times):12d}]"
    yield f"#[Buckets = {histogram.bucket_count:12d}, SubBuckets     = {histogram.sub_bucket_count:12d}]"


def _free(name: str, suffix: str, taken: Collection[str]) -> str:
    """``name`` with a number where another target's name makes the same file name."""
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    return next(found for number in numbers if (found := f"{name}{number}{suffix}") not in taken)


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-")
