"""The table of one load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from loadtest.measure.summary import Row, Times
from loadtest.report.charts.series import Series
from loadtest.report.page.shell import cell, table
from loadtest.report.table import differs
from loadtest.statistics.estimate import Estimate
from loadtest.units import MISSING, millisecond_interval, milliseconds, per_second, percent

_TITLES = ("response time, ms", "requests/s", "p50", "95 % CI", "p90", "p95", "p99", "p99.9", "errors", "tester")
_TAIL = (0.9, 0.95, 0.99, 0.999)


def numbers(series: Sequence[Series]) -> str:
    """A line for each target, and one for its service times where they differ."""
    return table(_TITLES, (line for one in series for line in _lines(one)))


def _lines(one: Series) -> Iterator[list[str]]:
    row = one.row
    failed = sum(row.errors.values())
    invalid = ' <span class="badge">INVALID</span>' if row.invalid else ""
    yield [
        f"<td>{one.swatch} {escape(one.label)}{invalid}</td>",
        _rate(row),
        *_times(row.response),
        cell(f"{failed:,}" if row.requests or failed else MISSING, "number bad" if failed else "number", _kinds(row)),
        cell(percent(row.generator_cpu) if row.requests else MISSING, "number"),
    ]
    if differs(row):
        yield [
            '<td class="soft indented">service time</td>',
            "<td></td>",
            *_times(row.service),
            "<td></td>",
            "<td></td>",
        ]

    for model, times in row.by_model.items():
        yield [f'<td class="soft indented">{escape(model)}</td>', "<td></td>", *_times(times), "<td></td>", "<td></td>"]


def _rate(row: Row) -> str:
    if row.throughput is None:
        return cell(MISSING, "number")
    interval = row.throughput.interval
    hover = f"95 % CI {per_second(interval.low)} to {per_second(interval.high)}" if interval else ""
    due = f"; due: {per_second(row.offered)}" if row.offered is not None else ""
    return cell(per_second(row.throughput.value), "number", (hover + due).removeprefix("; "))


def _times(times: Times) -> list[str]:
    median = times.percentiles.get(0.5)
    interval = millisecond_interval(median.interval if median else None)
    tail = [times.percentiles.get(share) for share in _TAIL]
    return [_percentile(median), cell(interval, "number"), *(_percentile(estimate) for estimate in tail)]


def _percentile(estimate: Estimate | None) -> str:
    if estimate is None:
        return cell(MISSING, "number")
    interval = f"95 % CI {millisecond_interval(estimate.interval)}, {estimate.method}" if estimate.interval else ""
    if estimate.enough:
        return cell(milliseconds(estimate.value), "number", interval)
    return cell(milliseconds(estimate.value), "number grey", "too few samples")


def _kinds(row: Row) -> str:
    return ", ".join(f"{count:,} × {kind}" for kind, count in row.errors.items())
