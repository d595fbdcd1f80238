from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from support.load_reports import make_digest, make_report, make_search

from loadtest.report.schema import SCHEMAS, schema
from loadtest.report.summary_json import summary_document

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", SCHEMAS)
def test_documented_schema_is_that_of_the_code(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == schema(SCHEMAS[name]), f"docs/{name} is out of date: run scripts/schema"


def validate(name: str, document: Any) -> None:
    jsonschema.validate(json.loads(msgspec.json.encode(document)), json.loads(schema(SCHEMAS[name])))


def test_what_is_written_fits_its_schema() -> None:
    report = make_report(search=make_search())
    validate("loadtest-results.schema.json", report)
    validate("loadtest-summary.schema.json", summary_document(make_digest(report)))


def test_what_is_not_a_result_does_not_fit() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate("loadtest-results.schema.json", {"format": 2})


def test_fields_are_explained() -> None:
    text = schema(SCHEMAS["loadtest-results.schema.json"])
    assert "how much later it was sent" in text
    assert '"contentEncoding": "base64"' in text
