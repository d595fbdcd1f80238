"""What the series of shadows say."""

import math

import pytest
from prometheus_client import CollectorRegistry

from gateway.core.differences import Difference
from gateway.telemetry.shadow_metrics import ShadowMetrics

LABELS = {"model": "m", "target": "b"}


@pytest.fixture
def metrics():
    return ShadowMetrics(CollectorRegistry(), (0.001, 1.0))


def value(metrics, name, **labels):
    for histogram in (metrics.duration, metrics.max_abs, metrics.max_rel):
        for sample in histogram:
            if sample.name == name and sample.labels == {**LABELS, **labels}:
                return sample.value
    counters = (metrics.requests, metrics.dropped, metrics.agreements, metrics.disagreements)
    for family in (family for counter in counters for family in counter.collect()):
        for sample in family.samples:
            if sample.name == name and sample.labels == {**LABELS, **labels}:
                return sample.value
    return None


def test_what_is_known_is_there_from_the_start(metrics):
    assert value(metrics, "gateway_shadow_requests_total", outcome="ok") is None
    metrics.of("m", "b")
    for outcome in ("ok", "differs", "deadline_exceeded"):
        assert value(metrics, "gateway_shadow_requests_total", outcome=outcome) == 0
    for reason in ("itself", "down", "busy", "full"):
        assert value(metrics, "gateway_shadow_dropped_total", reason=reason) == 0
    assert value(metrics, "gateway_shadow_max_abs_diff_count") == 0


def test_outcomes_and_reasons_are_counted(metrics):
    recorder = metrics.of("m", "b")
    for outcome in ("ok", "differs", "ok", "seldom"):
        recorder.copy_ended(outcome)
    recorder.copy_dropped("busy")
    counts = [value(metrics, "gateway_shadow_requests_total", outcome=each) for each in ("ok", "differs", "seldom")]
    assert counts == [2, 1, 1]
    assert value(metrics, "gateway_shadow_dropped_total", reason="busy") == 1


def test_durations_are_told_of_both_sides(metrics):
    metrics.of("m", "b").both_took(0.25, 0.5)
    assert value(metrics, "gateway_shadow_duration_seconds_sum", side="primary") == 0.25
    assert value(metrics, "gateway_shadow_duration_seconds_sum", side="target") == 0.5


def test_the_worst_output_stands_for_an_answer(metrics):
    recorder = metrics.of("m", "b")
    recorder.both_answered([Difference("x", max_abs=0.5, max_rel=0.05, rows=3, agreeing=2), Difference("y")])
    assert value(metrics, "gateway_shadow_max_abs_diff_sum") == 0.5
    assert value(metrics, "gateway_shadow_max_rel_diff_sum") == 0.05
    assert value(metrics, "gateway_shadow_top1_agreements_total") == 2
    assert value(metrics, "gateway_shadow_top1_disagreements_total") == 1


def test_equal_answers_and_infinite_differences_have_buckets_of_their_own(metrics):
    recorder = metrics.of("m", "b")
    recorder.both_answered([Difference("x")])
    recorder.both_answered([Difference("x", max_abs=math.inf, max_rel=math.inf)])
    assert value(metrics, "gateway_shadow_max_abs_diff_bucket", le="0.0") == 1
    assert value(metrics, "gateway_shadow_max_abs_diff_bucket", le="1000.0") == 1
    assert value(metrics, "gateway_shadow_max_abs_diff_bucket", le="+Inf") == 2
    assert value(metrics, "gateway_shadow_max_abs_diff_sum") < math.inf
