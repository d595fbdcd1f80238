"""CSV: the summary with one line for each target and load, and the raw stamps with one line for each request."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import TextIO

from loadtest.measure.summary import SHARES, Row
from loadtest.report.digest import Digest
from loadtest.results.block import Block, Columns, unpack
from loadtest.results.report import Report
from loadtest.units import percentile_name

Cell = str | int | float | None

REQUEST_TITLES = (
    "load",
    "target",
    "repetition",
    "restart",
    "payload",
    "scheduled_ns",
    "sent_ns",
    "first_byte_ns",
    "done_ns",
    "failure",
)


def write_csv(lines: Iterable[Iterable[Cell]], file: TextIO) -> None:
    """Write ``summary_lines`` or ``request_lines``; absent numbers are empty."""
    csv.writer(file, lineterminator="\n").writerows(lines)


def summary_lines(digest: Digest) -> Iterator[list[Cell]]:
    """A line of titles, then one a target and load; times in seconds."""
    rows = [_summary(load.spec, row) for load, row in digest.rows()]
    yield list(rows[0]) if rows else []
    yield from (list(row.values()) for row in rows)


def request_lines(report: Report) -> Iterator[list[Cell]]:
    """A line of titles, then one for each request that was due in a window; ns from the start of its window.

    ``payload`` is the number in the report's list of payloads.
    Of failed requests only the due time and the kind of failure are kept.
    """
    yield list(REQUEST_TITLES)
    for target in report.targets:
        for block in target.blocks:
            yield from ([block.load, target.name, *line] for line in _requests(block, target.first_payload))


def _requests(block: Block, first_payload: int) -> Iterator[list[Cell]]:
    columns = Columns.of(block)
    stamps = zip(
        (columns.payload + first_payload).tolist(),
        columns.scheduled.tolist(),
        (columns.scheduled + columns.send_lag).tolist(),
        (columns.scheduled + columns.first_byte).tolist(),
        (columns.scheduled + columns.response_time).tolist(),
        strict=True,
    )
    for stamp in stamps:
        yield [block.repetition, block.restart, *stamp, ""]
    for due, kind in zip(unpack(block.failed_at).tolist(), unpack(block.failed_kind).tolist(), strict=True):
        if due >= 0:
            yield [block.repetition, block.restart, None, due, None, None, None, block.failures[kind]]


def _summary(spec: str, row: Row) -> dict[str, Cell]:
    target, rate = row.target, row.throughput
    line: dict[str, Cell] = {
        "load": spec,
        "target": target.name,
        "backend": target.backend,
        "via": target.via,
        "protocol": target.protocol,
        "wire": target.wire,
        "server": target.server,
        "valid": "no" if row.invalid else "yes",
        "requests": row.requests,
        "errors": sum(row.errors.values()),
        "error_share": row.error_share,
        "throughput": rate.value if rate else None,
        "throughput_low": rate.interval.low if rate and rate.interval else None,
        "throughput_high": rate.interval.high if rate and rate.interval else None,
        "offered": row.offered,
    }
    for kind, times in (("response", row.response), ("service", row.service), ("first_byte", row.first_byte)):
        line[f"{kind}_mean"] = times.mean.value if times.mean else None
        for share in SHARES:
            estimate, name = times.percentiles.get(share), f"{kind}_{percentile_name(share)}"
            line[name] = estimate.value if estimate else None
            line[f"{name}_low"] = estimate.interval.low if estimate and estimate.interval else None
            line[f"{name}_high"] = estimate.interval.high if estimate and estimate.interval else None
            line[f"{name}_enough"] = ("yes" if estimate.enough else "no") if estimate else None
    line["generator_cpu"] = row.generator_cpu
    line["send_lag_p99"] = row.send_lag.get(0.99)
    line["warm_up"] = row.warm_up
    line["steady"] = None if row.steady is None else "yes" if row.steady else "no"
    line["reasons"] = "; ".join((*row.invalid, *([row.problem] if row.problem else [])))
    return line
