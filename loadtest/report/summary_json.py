"""The summary of a report for programs: what the tables say, in base units."""

from __future__ import annotations

from typing import Any

from loadtest.results import Report
from loadtest.summary import Row, summarise, verdict


def summary_document(report: Report) -> dict[str, Any]:
    """The tables of ``report`` as plain objects; times in seconds, rates a second, absent numbers null."""
    phases = []
    for phase in report.phases:
        rows = summarise(report, phase)
        phases.append({"load": phase, "targets": [_row(row) for row in rows], "verdict": verdict(rows)})
    return {
        "scenario": report.scenario,
        "model": report.model,
        "version": report.version,
        "started": report.started,
        "seed": report.seed,
        "interrupted": report.interrupted,
        "stolen_cpu": report.stolen_cpu,
        "machine": report.machine,
        "phases": phases,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "backend": row.target.backend,
        "via": row.target.via,
        "protocol": row.target.protocol,
        "server": row.target.server,
        "problem": row.problem,
        "requests": len(row.response_times),
        "throughput": row.throughput,
        "p50": row.median,
        "p50_interval": row.median_interval,
        "p90": row.p90,
        "p95": row.p95,
        "p99": row.p99,
        "errors": row.errors,
        "generator_cpu": row.generator_cpu,
        "send_lag_p99": row.send_lag,
        "largest_difference": row.target.largest_difference,
    }
