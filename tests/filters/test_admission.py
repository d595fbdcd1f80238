"""The filter: what it tells the gate of how a request ended."""

import asyncio

import pytest
from support.services import Recording, request
from support.virtual_time import run_virtual

from gateway.core.clients import Clients
from gateway.core.errors import BackendError, InvalidRequest, Overloaded
from gateway.core.gate import Gate, GateLimits
from gateway.core.messages import RequestContext
from gateway.filters.admission import Admission
from gateway.filters.deadline import Deadline


class Spied(Gate):
    """Notes how requests leave."""

    def __init__(self, limit=2):
        limits = GateLimits(least=limit, most=limit, queue=10, wait=0.1, sheddable=0.5)
        super().__init__("m", limits, Clients("x-gateway-client", {}), None, lambda: 0)
        self.left = []

    def answered(self, seconds, now):
        self.left.append("answered")
        super().answered(seconds, now)

    def exceeded(self, seconds):
        self.left.append("exceeded")
        super().exceeded(seconds)

    def leave(self):
        if len(self.left) < 1:
            self.left.append("left")
        super().leave()


@pytest.mark.parametrize(
    ("answer", "left"), [(None, "answered"), (BackendError("no"), "left"), (Overloaded("no"), "exceeded")]
)
def test_how_a_request_ends(answer, left):
    gate = Spied()
    service = Admission(Recording(*[answer] if answer else []), gate)
    if answer is None:
        run_virtual(service(request()))
    else:
        with pytest.raises(type(answer)):
            run_virtual(service(request()))
    assert (gate.left, gate.in_flight) == ([left], 0)


async def slow(message):
    await asyncio.sleep(10)


def test_a_request_whose_time_was_over_is_one_too_many():
    gate = Spied()
    context = RequestContext("test", timeout=1.0)
    with pytest.raises(Exception, match="no answer within the deadline"):
        run_virtual(Deadline(Admission(slow, gate), 60)(request(context=context)))
    assert (gate.left, gate.in_flight) == (["exceeded"], 0)


def test_a_client_that_leaves_tells_nothing():
    async def run():
        gate = Spied()
        task = asyncio.create_task(Deadline(Admission(slow, gate), 60)(request()))
        await asyncio.sleep(1)
        assert gate.in_flight == 1
        task.cancel()
        await asyncio.wait([task])
        assert (gate.left, gate.in_flight) == (["left"], 0)

    run_virtual(run())


def test_a_wrong_priority_is_refused_before_anything_else():
    gate, inner = Spied(), Recording()
    context = RequestContext("test", headers={b"x-gateway-priority": b"utmost"})
    with pytest.raises(InvalidRequest, match="x-gateway-priority"):
        run_virtual(Admission(inner, gate)(request(context=context)))
    assert (inner.requests, gate.in_flight, gate.left) == ([], 0, [])
