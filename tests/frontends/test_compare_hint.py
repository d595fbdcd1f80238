"""How a client asks for a comparison, and how it is told."""

import math

import pytest

from gateway.core.compared import Compared
from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext
from gateway.frontends.hints import ask_to_compare, compared


@pytest.mark.parametrize(("value", "asked"), [("1", True), ("0", False)])
def test_who_compares_wants_no_kept_answer(value, asked):
    context = RequestContext("test")
    ask_to_compare(context, value)
    assert (context.compare, context.fresh) == (asked, asked)


@pytest.mark.parametrize("value", ["", "2", "true", "1, 1", "x" * 400])
def test_anything_else_is_refused(value):
    with pytest.raises(InvalidRequest, match="x-gateway-compare: 0 or 1 is expected"):
        ask_to_compare(RequestContext("test"), value)


def test_what_is_told_has_the_form_of_server_timing():
    parts = (
        Compared("a", 0.0012),
        Compared("b", 0.0034, 2.0e-7),
        Compared("c", 1.0, math.inf),
        Compared("d", problem="deadline_exceeded"),
    )
    assert (
        compared(parts) == "a;dur=1.200, b;dur=3.400;diff=2e-07, c;dur=1000.000;diff=inf, d;problem=deadline_exceeded"
    )
