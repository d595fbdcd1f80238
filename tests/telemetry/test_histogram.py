"""Held against prometheus_client's own histograms and parsers."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.telemetry.histogram import Histogram
from gateway.telemetry.page import render

BOUNDS = (0.001, 0.5, 1.0, 1e6)
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
TRACE = "0123456789abcdef" * 2


@given(st.lists(st.floats(min_value=0, max_value=1e9)), st.text())
def test_values_are_counted_as_prometheus_client_counts_them(values, label):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    series = Histogram("h_seconds", "Text.", ("which",), BOUNDS, ours).series(label)
    their_series = TheirHistogram("h_seconds", "Text.", ["which"], buckets=BOUNDS, registry=theirs).labels(label)
    for value in values:
        series.observe(value)
        their_series.observe(value)
    (family,), (their_family,) = ours.collect(), theirs.collect()
    assert list(family.samples) == their_family.samples
    # And so is the page, but for the floats in which they count.
    assert read(parse_text, render(ours, "")[0]) == read(parse_text, generate_latest(theirs))


def read(parse, page):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(page.decode())
        for sample in family.samples
    }


def test_both_forms_of_a_page_hold_the_same_numbers_and_nothing_else():
    registry = CollectorRegistry()
    series = Histogram("h_seconds", "Text.", (), BOUNDS, registry).series()
    for value in (0.0005, 0.7, 2e6):
        series.observe(value, TRACE)
    text, open_metrics = render(registry, "")[0], render(registry, OPEN_METRICS)[0]
    assert read(parse_text, text) == read(parse_open, open_metrics)
    assert b"#" not in text.partition(b"histogram\n")[2]  # Prometheus' own text has no exemplars
    assert open_metrics.endswith(b"\n# EOF\n")


def test_an_exemplar_stands_at_the_bucket_of_its_value():
    registry = CollectorRegistry()
    series = Histogram("h_seconds", "Text.", ("which",), BOUNDS, registry).series("one")
    series.observe(0.6, "f" * 32)
    series.observe(0.7, TRACE)  # the latest is shown
    series.observe(0.8)
    (family,) = parse_open(render(registry, OPEN_METRICS)[0].decode())
    shown = {sample.labels["le"]: sample.exemplar for sample in family.samples if sample.exemplar}
    assert list(shown) == ["1.0"]
    assert shown["1.0"].labels == {"trace_id": TRACE}
    assert shown["1.0"].value == 0.7
    assert float(shown["1.0"].timestamp) == pytest.approx(time.time(), abs=60)


def test_two_of_one_name_are_refused():
    registry = CollectorRegistry()
    Histogram("h_seconds", "Text.", (), BOUNDS, registry)
    with pytest.raises(ValueError, match="h_seconds"):
        Histogram("h_seconds", "Text.", (), BOUNDS, registry)


def test_the_number_of_label_values_must_fit():
    histogram = Histogram("h_seconds", "Text.", ("a", "b"), BOUNDS, CollectorRegistry())
    with pytest.raises(ValueError, match="zip"):
        histogram.series("one")
