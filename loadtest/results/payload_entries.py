"""The workload as the result file lists it."""

from __future__ import annotations

import hashlib

from loadtest.payloads.workload import Payload, Workload
from loadtest.results.report import PayloadEntry


def payload_entries(workload: Workload) -> tuple[PayloadEntry, ...]:
    """One entry for each payload, in order."""
    return tuple(_entry(payload) for payload in workload.payloads)


def _entry(payload: Payload) -> PayloadEntry:
    digest = hashlib.sha256()
    for tensor in payload.request.inputs:
        digest.update(tensor.data)
    return PayloadEntry(
        model=payload.model.name,
        version=payload.model.version,
        label=payload.label,
        rows=payload.rows,
        weight=payload.weight,
        sha256=digest.hexdigest(),
    )
