"""JSON schemas of what is written: the result file and the summary."""

from __future__ import annotations

from typing import Any

import msgspec

from loadtest.report.summary_json import Summary
from loadtest.results.report import Report

# File below docs/ → what it describes.
SCHEMAS: dict[str, type[msgspec.Struct]] = {
    "loadtest-results.schema.json": Report,
    "loadtest-summary.schema.json": Summary,
}


def schema(described: type[msgspec.Struct]) -> str:
    """JSON schema (2020-12) of ``described``, generated from its types and docstrings."""
    document: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    document |= msgspec.json.schema(described)
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"
