"""Traces that are passed on and not recorded."""

import sys

import pytest

from gateway.config.file import ConfigError
from gateway.config.settings import TracingConfig
from gateway.core.messages import RequestContext
from gateway.core.trace_context import read_traceparent
from gateway.telemetry.propagation import Propagation
from gateway.telemetry.tracing import open_tracer

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def begun(**given):
    context = RequestContext("test", **given)
    Propagation().begin(context, "name", {})
    return context


def test_backends_hang_below_the_clients_own_span():
    # A span id of the gateway's own would be nobody's: it would cut the trace in two.
    context = begun(traceparent=SAMPLED, tracestate="a=1,b=2")
    assert context.trace_headers() == {"traceparent": SAMPLED, "tracestate": "a=1,b=2"}
    assert context.span is None


@pytest.mark.parametrize("given", ["", "garbage", SAMPLED + "," + SAMPLED])
def test_a_request_without_a_valid_trace_gets_one_that_nobody_records(given):
    context = begun(traceparent=given, tracestate="a=1")
    assert read_traceparent(context.traceparent) == context.traceparent
    assert context.traceparent.endswith("-02")
    assert context.tracestate == ""  # it belonged to the trace that could not be read


def test_a_broken_tracestate_does_not_break_the_trace():
    assert begun(traceparent=SAMPLED, tracestate="a").trace_headers() == {"traceparent": SAMPLED}


def test_no_section_means_no_opentelemetry():
    assert isinstance(open_tracer(None), Propagation)


def test_the_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "gateway.telemetry.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"tracing: .*opentelemetry.* is not installed; .*serving-gateway\[otel\]"):
        open_tracer(TracingConfig(endpoint="http://127.0.0.1:4318"))
