"""Where, when and with what a result was measured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from loadtest.report.page.shell import cell, facts, table
from loadtest.results.report import Report
from loadtest.units import milliseconds, per_second, percent

_SHOWN = 16  # characters of a checksum; all of them on hover


def summary(report: Report) -> str:
    """The facts that belong above all numbers."""
    environment = report.environment
    servers = dict.fromkeys((target.backend, target.server) for target in report.targets)
    until = f", until {report.until}" if report.until else ""
    return facts(
        {
            "Measured": f"{datetime.fromisoformat(report.started):%Y-%m-%d %H:%M} UTC, "
            f"{report.seconds:g} s for each target and load{until}",
            "Machine": f"{environment.cpu}, {environment.cores} cores, {environment.memory_gib:g} GiB",
            "Servers": "; ".join(f"{backend}: {server}" if server else backend for backend, server in servers),
            "Load from": ", ".join(report.workers) or "this machine",
        }
    )


def environment(report: Report) -> str:
    """Everything needed to measure the same again."""
    return f"<section><h2>Environment</h2>{''.join(_parts(report))}</section>"


def _parts(report: Report) -> Iterator[str]:
    known, seeds = report.environment, report.seeds
    yield facts(
        {
            "System": f"{known.system}, Python {known.python}",
            "Commit": known.git_sha,
            "Threads": _pairs(known.threads) or "not set",
            "Versions": _pairs(known.versions),
            "Seeds": f"arrivals {seeds.arrivals}, samples {seeds.samples}, payloads {seeds.payloads}",
            "Time-out": f"{report.timeout:g} s",
            "Most in flight": f"{report.most_in_flight:,} (a breach voids the run)",
            "Errors allowed": percent(report.error_limit),
            "Forced": "rates near the load generator's ceiling were insisted on" if report.forced else "",
            "CPU taken by other guests": percent(report.stolen_cpu),
        }
    )
    if report.calibrations:
        yield "<h3>What the load generator can do here, measured against a server that does nothing</h3>"
        yield table(
            ("transport", "ceiling, requests/s", "floor p50, ms", "floor p99, ms"),
            (
                [
                    cell(one.transport),
                    cell(per_second(one.ceiling), "number"),
                    cell(milliseconds(one.floor_p50), "number"),
                    cell(milliseconds(one.floor_p99), "number"),
                ]
                for one in report.calibrations
            ),
        )
    if known.models:
        yield "<h3>Models</h3>"
        yield table(("model", "SHA-256"), ([cell(name), _checksum(value)] for name, value in known.models.items()))
    if report.payloads:
        yield "<h3>Payloads</h3>"
        yield table(
            ("model", "payload", "rows", "weight", "SHA-256"),
            (
                [
                    cell(f"{one.model} {one.version}".rstrip()),
                    cell(one.label, "number"),
                    cell(f"{one.rows:,}", "number"),
                    cell(f"{one.weight:g}", "number"),
                    _checksum(one.sha256),
                ]
                for one in report.payloads
            ),
        )


def _pairs(known: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in known.items())


def _checksum(value: str) -> str:
    return cell(value[:_SHOWN], "mono", value)
