"""Spans within the span of a request."""

import asyncio

import pytest
from support.spans import NotedSpan

from gateway.core.errors import Overloaded
from gateway.core.messages import RequestContext
from gateway.core.tracing import child_span


def test_a_request_whose_trace_is_not_recorded_has_none():
    context = RequestContext("test", traceparent="00-1-2-00")
    with child_span(context, "part"):
        assert (context.span, context.traceparent) == (None, "00-1-2-00")


def test_parts_nest_and_what_is_called_inside_is_told_of_the_innermost():
    root = NotedSpan()
    context = RequestContext("test", traceparent=root.traceparent, span=root)
    with child_span(context, "outer", "client", {"a": 1}):
        with child_span(context, "inner"):
            assert context.trace_headers() == {"traceparent": "00-trace-inner-01"}
        assert context.trace_headers() == {"traceparent": "00-trace-outer-01"}
    assert (context.span, context.traceparent) == (root, root.traceparent)
    (outer,) = root.children
    (inner,) = outer.children
    assert (outer.kind, outer.attributes, outer.outcome) == ("client", {"a": 1}, "ok")
    assert (inner.kind, inner.attributes, inner.outcome) == ("internal", {}, "ok")
    assert root.outcome is None


@pytest.mark.parametrize(
    ("error", "outcome", "problem"),
    [
        (Overloaded("full"), "overloaded", "full"),
        (asyncio.CancelledError(), "cancelled", "CancelledError"),
        (ZeroDivisionError("secret"), "internal", "ZeroDivisionError"),
    ],
)
def test_a_part_that_fails_says_how_and_the_error_goes_on(error, outcome, problem):
    root = NotedSpan()
    context = RequestContext("test", span=root)
    with pytest.raises(type(error)), child_span(context, "part"):
        raise error
    assert (root.children[0].outcome, root.children[0].problem) == (outcome, problem)
    assert context.span is root
