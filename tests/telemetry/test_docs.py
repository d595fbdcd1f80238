"""docs/telemetry.md says what there is."""

import re
from pathlib import Path

import pytest
from support.gateways import settings

from gateway.app import App
from gateway.telemetry.worker_metrics import WorkerMetrics
from gateway.workers.worker_slot import Reason, WorkerState

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    backend = {"kind": "oip", "url": "http://127.0.0.1:9"}
    return App(settings(tmp_path_factory.mktemp("store"), {"b": backend})).metrics.registry


def documented():
    """The metrics of the page, by name: type, labels and meaning."""
    rows = re.findall(r"^\| `(gateway_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, kind, labels, meaning in rows}


def test_every_metric_is_on_the_page_and_no_other(registry):
    there = {}
    parent = WorkerMetrics(WorkerState, Reason, lambda _: 0).registry
    for collector in [*registry._collector_to_names, *parent._collector_to_names]:
        for family in collector.collect():
            if family.name.startswith("gateway_"):
                labels = getattr(collector, "label_names", None) or getattr(collector, "_labelnames", ())
                name = f"{family.name}_total" if family.type == "counter" else family.name
                there[name] = (family.type, labels, family.documentation)
    assert documented() == there


def test_units_are_seconds_and_bytes_and_stand_in_the_names():
    for name, (kind, _, _) in documented().items():
        if kind == "histogram":
            assert name.endswith(("_seconds", "_bytes", "_size", "_diff"))


def test_every_field_of_the_example_lines_is_explained():
    examples = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    fields = {field for example in examples for field in re.findall(r'"(\w+)": ', example)}
    assert not {field for field in fields if f"`{field}`" not in PAGE}
