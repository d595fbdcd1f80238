import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from gateway.telemetry.metrics import GatewayMetrics
from loadtest.server_times.prometheus import parse

# What TorchServe 0.12 says in its metrics mode "prometheus"; a request without a version is counted as "default".
TORCHSERVE = b"""\
# HELP PredictionTime Torchserve prometheus gauge metric with unit: ms
# TYPE PredictionTime gauge
PredictionTime{ModelName="digits-mlp",Level="Model",Hostname="vm",} 0.49
# HELP ts_inference_requests_total Torchserve prometheus counter metric with unit: Count
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="digits-mlp",model_version="default",hostname="vm",} 1.0
ts_inference_requests_total{model_name="digits-mlp",model_version="1",hostname="vm",} 4.0
ts_inference_requests_total{model_name="other",model_version="1",hostname="vm",} 100.0
# HELP ts_inference_latency_microseconds Torchserve prometheus counter metric with unit: Microseconds
# TYPE ts_inference_latency_microseconds counter
ts_inference_latency_microseconds{model_name="digits-mlp",model_version="default",hostname="vm",} 4222228.866
ts_inference_latency_microseconds{model_name="digits-mlp",model_version="1",hostname="vm",} 16479.747
ts_inference_latency_microseconds{model_name="other",model_version="1",hostname="vm",} 9.9E9
# HELP ts_queue_latency_microseconds Torchserve prometheus counter metric with unit: Microseconds
# TYPE ts_queue_latency_microseconds counter
ts_queue_latency_microseconds{model_name="digits-mlp",model_version="default",hostname="vm",} 4213759.967
ts_queue_latency_microseconds{model_name="digits-mlp",model_version="1",hostname="vm",} 5104.655
"""

TENSORFLOW_SERVING = b"""\
# TYPE :tensorflow:core:graph_run_time_usecs counter
:tensorflow:core:graph_run_time_usecs{} 777
# TYPE :tensorflow:serving:request_latency histogram
:tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",entrypoint="GRPC",le="10"} 0
:tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",entrypoint="GRPC",le="+Inf"} 3
:tensorflow:serving:request_latency_sum{model_name="m",API="Predict",entrypoint="GRPC"} 3000
:tensorflow:serving:request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"} 3
:tensorflow:serving:request_latency_sum{model_name="m",API="Predict",entrypoint="REST"} 1000
:tensorflow:serving:request_latency_count{model_name="m",API="Predict",entrypoint="REST"} 1
# TYPE :tensorflow:serving:runtime_latency histogram
:tensorflow:serving:runtime_latency_bucket{model_name="m",API="Predict",runtime="TF1",le="+Inf"} 4
:tensorflow:serving:runtime_latency_sum{model_name="m",API="Predict",runtime="TF1"} 2500
:tensorflow:serving:runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 4
"""


def test_torchserve():
    snapshot = parse(TORCHSERVE, ["digits-mlp"])
    assert (snapshot.source, snapshot.requests) == ("Prometheus", 5)
    assert snapshot.seconds == pytest.approx({"queue": 4.218864622, "compute": 4.238708613 - 4.218864622})


def test_tensorflow_serving():
    snapshot = parse(TENSORFLOW_SERVING, ["m"])
    assert snapshot.requests == 4
    assert snapshot.seconds == pytest.approx({"compute": 2.5e-3, "server": 1.5e-3})


def test_the_gateway():
    metrics = GatewayMetrics(["a"], ["m", "other"])
    metrics.request_finished("oip-http", "m", "a", "ok", 0.010, 0.002)
    metrics.request_finished("oip-http", "m", "a", "ok", 0.020, 0.004)
    snapshot = parse(generate_latest(metrics.registry), ["m"])
    assert snapshot.requests == 2
    assert snapshot.seconds == pytest.approx({"backend": 0.024, "gateway": 0.006})


@pytest.mark.parametrize(
    "page",
    [b"", b"\xff", b"<html>not found</html>", b"# TYPE up gauge\nup 1\n", TORCHSERVE.replace(b"queue", b"que")],
    ids=["empty", "no text", "a web page", "another server", "a metric is missing"],
)
def test_pages_that_say_nothing(page):
    assert parse(page, ["digits-mlp"]) is None


def test_a_model_that_was_never_asked():
    assert parse(TORCHSERVE, ["nobody"]) is None


@given(st.binary(max_size=80) | st.text('ab_:{}="\\,# \n1eE+-', max_size=80).map(str.encode))
def test_nothing_raises(page):
    parse(page, ["m"])
