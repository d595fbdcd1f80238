"""What the stack writes on the spans of a request."""

import asyncio

import pytest
from support.services import Recording, request
from support.spans import NotedSpan

from gateway.core.backend import Endpoint
from gateway.core.errors import ConnectFailed, ModelNotFound
from gateway.core.messages import InferResponse, RequestContext
from gateway.filters.attempt_trace import AttemptTrace
from gateway.filters.trace import Trace

UNRECORDED = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"


def call(service, message):
    return asyncio.run(service(message))


@pytest.mark.parametrize("wrap", [Trace, lambda inner: AttemptTrace(inner, Endpoint("b", "m"), "client")])
def test_a_request_whose_trace_is_not_recorded_passes_untouched(wrap):
    inner = Recording()
    message = request(context=RequestContext("test", traceparent=UNRECORDED))
    call(wrap(inner), message)
    assert inner.requests == [message]
    assert message.context.traceparent == UNRECORDED


def test_the_requests_span_tells_what_was_asked_for_and_who_answered():
    span = NotedSpan()
    context = RequestContext("oip-http", span=span, served_by="b")
    call(Trace(Recording(InferResponse("m", "3", ()))), request(context=context))
    assert span.attributes == {
        "gateway.protocol": "oip-http",
        "gateway.model": "m",
        "gateway.version": "3",
        "gateway.backend": "b",
    }
    assert span.outcome is None  # the front door ends it


def test_a_request_that_fails_has_what_is_known_of_it():
    span = NotedSpan()
    with pytest.raises(ModelNotFound):
        call(Trace(Recording(ModelNotFound("no"))), request("nope", context=RequestContext("test", span=span)))
    assert span.attributes == {"gateway.protocol": "test", "gateway.model": "nope"}


def test_each_attempt_is_a_span_of_its_own_and_the_backend_is_told_of_it():
    told = []
    answers = [ConnectFailed("refused"), None]

    async def backend(message):
        told.append(message.context.trace_headers())
        if error := answers.pop(0):
            raise error
        return InferResponse("m", "7", ())

    span = NotedSpan()
    message = request(context=RequestContext("test", span=span, tracestate="a=1"))
    with pytest.raises(ConnectFailed):
        call(AttemptTrace(backend, Endpoint("first", "m"), "client"), message)
    call(AttemptTrace(backend, Endpoint("second", "m", "7"), "internal"), message)
    assert told == [
        {"traceparent": "00-trace-attempt first-01", "tracestate": "a=1"},
        {"traceparent": "00-trace-attempt second-01", "tracestate": "a=1"},
    ]
    first, second = span.children
    assert (first.kind, first.outcome, first.problem) == ("client", "connect_failed", "refused")
    assert first.attributes == {"gateway.backend": "first", "gateway.model": "m"}
    assert (second.kind, second.outcome) == ("internal", "ok")
    assert second.attributes == {"gateway.backend": "second", "gateway.model": "m", "gateway.version": "7"}
