import json
import logging

import pytest
import structlog

from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.signatures import Signature
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


def test_payloads_are_counted_both_ways(metrics):
    metrics.payload("oip-http", 100, 5000)
    metrics.payload("oip-http", 200, None)  # it got no answer
    inwards, outwards = ({"protocol": "oip-http", "direction": direction} for direction in ("in", "out"))
    assert value(metrics, "gateway_payload_bytes_sum", **inwards) == 300
    assert value(metrics, "gateway_payload_bytes_count", **outwards) == 1
    assert value(metrics, "gateway_payload_bytes_bucket", **outwards, le="1000.0") == 0
    assert value(metrics, "gateway_payload_bytes_bucket", **outwards, le="10000.0") == 1


class Queue:
    capacity = 7
    depth = 0

    def tell_waits(self, heard):
        self.heard = heard


def test_a_queue_is_told_of_as_it_is_when_somebody_asks(metrics):
    queue = Queue()
    metrics.queues.watch_engine("b", queue)
    assert value(metrics, "gateway_queue_limit", backend="b") == 7
    assert value(metrics, "gateway_queue_wait_seconds_count", backend="b") == 0  # there from the start
    queue.depth = 3
    queue.heard(0.25)
    assert value(metrics, "gateway_queue_depth", backend="b") == 3
    assert value(metrics, "gateway_queue_fullness", backend="b") == 3 / 7
    assert value(metrics, "gateway_queue_wait_seconds_sum", backend="b") == 0.25


class Lanes:
    def __init__(self, depth, capacity, lane_count):
        self.depth, self.capacity, self.lane_count = depth, capacity, lane_count


def test_lanes_are_counted_over_all_models_for_as_long_as_they_are_served(metrics):
    lanes = metrics.queues.lanes("b")
    assert metrics.queues.lanes("b") is lanes
    one, two = Lanes(3, 10, 4), Lanes(1, 10, 2)
    lanes.watch(one)
    lanes.watch(two)
    names = ("gateway_queue_depth", "gateway_queue_limit", "gateway_queue_fullness", "gateway_batch_lanes")
    assert [value(metrics, name, backend="b") for name in names] == [4, 20, 0.3, 6]
    del one  # the model is unloaded
    assert [value(metrics, name, backend="b") for name in names] == [1, 10, 0.1, 2]
    lanes.batch_sent(5)
    lanes.lane_waited(0.25)
    assert value(metrics, "gateway_batch_size_sum", backend="b") == 5
    assert value(metrics, "gateway_queue_wait_seconds_sum", backend="b") == 0.25


def test_the_circuit_of_a_backend_is_what_its_endpoints_allow(metrics):
    one, two = Endpoint("b", "one"), Endpoint("b", "two")
    elsewhere = Endpoint("other", "one", healthy=True, suspect=True)
    metrics.watch_circuits(
        Catalog(
            ServedModel(name, "1", "", Signature((), ()), 0, (), endpoints)
            for name, endpoints in [("one", (one, elsewhere)), ("two", (two,))]
        )
    )

    def state():
        return value(metrics, "gateway_circuit_state", backend="b")

    assert state() == 2  # nothing is known of it yet
    one.mark_healthy()
    assert state() == 0
    one.suspect = True
    assert state() == 1
    one.mark_down("connection refused")
    assert state() == 2
    two.mark_healthy()
    assert state() == 0

    def open_circuit(endpoint):
        while endpoint.circuit.closed:
            endpoint.circuit.failed(endpoint.circuit.generation, endpoint.clock())

    one.mark_healthy()
    open_circuit(one)
    assert state() == 1  # others are preferred for one of its models
    open_circuit(two)
    assert state() == 2
    two.circuit.half_open(two.clock())
    assert state() == 1
    assert two.circuit.succeeded(two.circuit.generation, two.clock())
    one.mark_down("connection refused")
    assert state() == 0


def test_the_lag_of_the_loop_is_there_from_the_start(metrics):
    assert value(metrics, "gateway_event_loop_lag_seconds_count") == 0
    metrics.loop_lagged(0.03)
    assert value(metrics, "gateway_event_loop_lag_seconds_bucket", le="0.1") == 1


def test_exemplars_are_kept_of_requests_and_of_attempts(metrics):
    metrics.request_finished("oip-http", "m", "b", "ok", 0.003, 0.0002, "a" * 32)
    attempts = metrics.attempts("b")
    for trace_id in ("c" * 32, ""):
        attempts.attempt_started()
        attempts.attempt_finished("ok", 0.002, trace_id)
    kept = {
        sample.name: sample.exemplar.labels["trace_id"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.exemplar
    }
    assert kept == {
        "gateway_request_duration_seconds_bucket": "a" * 32,
        "gateway_attempt_duration_seconds_bucket": "c" * 32,
    }


def test_counters_and_readiness(metrics):
    metrics.retries.retried("connect_failed")
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
