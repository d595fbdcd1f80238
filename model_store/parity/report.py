"""What the build's parity gate measured, for programs (``parity.json``) and for people (``parity.html``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from model_store.parity.difference import Difference
from model_store.parity.page import render_page
from model_store.parity.record import Failure, ParityReport
from model_store.parity.verdict import summarize

JSON_FILE = "parity.json"
HTML_FILE = "parity.html"


def write_report(
    folder: Path,
    *,
    model: str,
    version: str,
    differences: Sequence[Difference],
    participants: Mapping[str, str],
    accuracy: Mapping[str, Mapping[str, float]],
    routes: Mapping[str, str],
    failed: Mapping[str, Sequence[tuple[str, str]]],
    latency: Mapping[str, Mapping[str, float]],
) -> None:
    """Write ``parity.json`` and ``parity.html`` into ``folder``; see ``ParityReport`` for the arguments.

    ``failed`` holds pairs of a route and the reason why it did not work.
    """
    report = ParityReport(
        model=model,
        version=version,
        passed=all(found.passed for found in differences if found.gated),
        participants=dict(participants),
        pairs=summarize(differences),
        accuracy={name: dict(metrics) for name, metrics in accuracy.items()},
        routes=dict(routes),
        failed={target: [Failure(*attempt) for attempt in attempts] for target, attempts in failed.items()},
        latency={target: dict(medians) for target, medians in latency.items()},
        differences=[*differences],
    )
    (folder / JSON_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    (folder / HTML_FILE).write_text(render_page(report), encoding="utf-8")
