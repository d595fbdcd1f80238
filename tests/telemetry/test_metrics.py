import json
import logging

import pytest
import structlog

from gateway.telemetry.logs import configure_logging
from gateway.telemetry.metrics import BUCKETS, OTHER, GatewayMetrics


@pytest.fixture
def metrics():
    return GatewayMetrics(["b"], ["m"])


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_requests_are_counted_by_protocol_model_backend_and_outcome(metrics):
    metrics.request_finished("oip-http", "m", "b", "ok", 0.003, 0.0002)
    metrics.request_finished("oip-http", "m", "b", "ok", 0.005, 0.0004)
    labels = {"protocol": "oip-http", "model": "m", "backend": "b", "outcome": "ok"}
    assert value(metrics, "gateway_request_duration_seconds_count", **labels) == 2
    assert value(metrics, "gateway_request_duration_seconds_sum", **labels) == pytest.approx(0.008)
    assert value(metrics, "gateway_overhead_seconds_sum", protocol="oip-http", backend="b") == pytest.approx(0.0006)


def test_unknown_models_share_one_series(metrics):
    for name in ("made", "up", "names"):
        metrics.request_finished("oip-http", name, "", "model_not_found", 0.001, 0.001)
    models = {
        sample.labels["model"]
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if metric.name == "gateway_request_duration_seconds"
    }
    assert models == {OTHER}


def test_attempts_are_in_flight_until_they_finish(metrics):
    attempts = metrics.attempts("b")
    assert value(metrics, "gateway_inflight_requests", backend="b") == 0  # there from the start
    attempts.attempt_started()
    assert value(metrics, "gateway_inflight_requests", backend="b") == 1
    attempts.attempt_finished("backend_error", 0.1)
    assert value(metrics, "gateway_inflight_requests", backend="b") == 0
    assert value(metrics, "gateway_attempt_duration_seconds_count", backend="b", outcome="backend_error") == 1


def test_counters_and_readiness(metrics):
    metrics.retried("connect_failed")
    metrics.rejected("too_large")
    metrics.backend_ready("b", "m", ready=True)
    assert value(metrics, "gateway_retries_total", reason="connect_failed") == 1
    assert value(metrics, "gateway_rejected_total", reason="too_large") == 1
    assert value(metrics, "gateway_backend_ready", backend="b", model="m") == 1


def test_the_buckets_span_10_microseconds_to_10_seconds():
    assert (BUCKETS[0], BUCKETS[-1]) == (1e-05, 10.0)
    assert list(BUCKETS) == sorted(BUCKETS)


@pytest.fixture
def logging_restored():
    """The stream that a test logs to is gone after it: no later test's gateway may write there."""
    yield
    structlog.reset_defaults()


def test_logs_are_one_json_object_a_line_when_nobody_watches(capsys, logging_restored):
    configure_logging()
    structlog.get_logger().info("hello", backend="b")
    logging.getLogger("some.library").warning("careful")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [("hello", "info"), ("careful", "warning")]
    assert lines[0]["backend"] == "b"
