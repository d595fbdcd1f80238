"""Every failure is logged, and the share of the others that was asked for, by trace id."""

import asyncio

import pytest
from support.services import Recording, request

from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext
from gateway.filters.access_log import AccessLog


class Recorder:
    def __init__(self):
        self.lines = []

    def answered(self, request, response):
        self.lines.append((request, response))

    def failed(self, request, error):
        self.lines.append((request, error))


def ask(share, trace_id="a" * 32, answer=None, **changes):
    """The lines that one request leaves, and the request."""
    recorder = Recorder()
    message = request(context=RequestContext("test", traceparent=f"00-{trace_id}-{'b' * 16}-02"), **changes)
    inner = Recording() if answer is None else Recording(answer)
    try:
        asyncio.run(AccessLog(inner, recorder, share)(message))
    except BaseException as error:
        assert error is answer
    return recorder.lines, message


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (InvalidRequest("no"), "invalid_request"),
        (asyncio.CancelledError(), "cancelled"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_failures_are_always_logged_and_noted_for_the_door(answer, failure):
    lines, message = ask(0.0, answer=answer)
    assert lines == [(message, answer)]
    assert message.context.failure == failure


@pytest.mark.parametrize("trace_id", ["0" * 31 + "1", "f" * 32, "0" * 18 + "f" * 14])
def test_all_or_none_are_logged_when_that_is_the_share(trace_id):
    assert ask(0.0, trace_id)[0] == []
    assert ask(1e-30, trace_id)[0] == []
    ((_, response),), message = ask(1.0, trace_id)
    assert response.model == "m"
    assert message.context.failure == ""


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5])
def test_a_share_is_that_part_of_all_trace_ids(share):
    """By its last 14 digits, as OpenTelemetry samples: what one server logs, the next one logs too."""
    assert ask(share, f"{'f' * 18}{round((1 - share) * 16**14) - 1:014x}")[0] == []
    assert len(ask(share, f"{'0' * 18}{round((1 - share) * 16**14):014x}")[0]) == 1


def test_the_clients_id_of_the_request_becomes_part_of_the_context():
    _, message = ask(0.0, id="seven")
    assert message.context.request_id == "seven"
