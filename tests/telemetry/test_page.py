"""The page of the metrics port, read by prometheus_client's parsers."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.page import render

# What Prometheus 3 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def registry():
    metrics = GatewayMetrics(["b"], ["m"])
    metrics.request_finished("oip-http", "m", "b", "ok", 0.003, 0.0002, "a" * 32)
    metrics.payload("oip-http", 8, 16)
    return metrics.registry


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain; version=0.0.4", parse_text),
        ("*/*", "text/plain; version=0.0.4", parse_text),
        ("text/plain", "text/plain; version=0.0.4", parse_text),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0", parse_open),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0", parse_open),
    ],
)
def test_the_form_is_what_the_scraper_asks_for(registry, accept, content_type, parse):
    page, told = render(registry, accept)
    assert told.startswith(content_type)
    assert {family.name for family in parse(page.decode())} == {family.name for family in registry.collect()}


def test_prometheus_gets_the_exemplars(registry):
    families = {family.name: family for family in parse_open(render(registry, PROMETHEUS)[0].decode())}
    shown = [sample.exemplar for sample in families["gateway_request_duration_seconds"].samples if sample.exemplar]
    assert [exemplar.labels for exemplar in shown] == [{"trace_id": "a" * 32}]
