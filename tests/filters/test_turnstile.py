"""Who is turned away before anything is done for it, in virtual time."""

import asyncio

import pytest
from support.gates import Scene, scene, settled
from support.services import request

from gateway.core.criticality import Criticality
from gateway.core.errors import InvalidRequest, Overloaded
from gateway.core.messages import RequestContext
from gateway.core.unread import UnreadRequest
from gateway.filters.turnstile import Turnstile

CRITICAL, DEFAULT, SHEDDABLE = Criticality


class Inner:
    def __init__(self):
        self.reached = 0

    async def __call__(self, message):
        self.reached += 1
        return "answer"


async def crowded(**options):
    """A gate that has seen an answer of 0.2 s, is full, and has a queue of six that does not pass."""
    it = Scene(4, queue=50, wait=0.5, **options)
    it.ask("first")
    await asyncio.sleep(0.2)
    await it.let_out("first")
    for name in "abcd":
        it.ask(name)
    await settled()
    await let_wait(it, 6)
    await asyncio.sleep(0.45)
    await let_wait(it, 6)
    await asyncio.sleep(0.1)
    assert it.gate.waiting == 6  # those that came first are refused by now
    return it


def forget(task):
    if not task.cancelled():
        task.exception()


async def let_wait(it, count, criticality=DEFAULT, client=""):
    for number in range(count):
        it.ask((criticality, client, number), criticality, client).add_done_callback(forget)
    await settled()


def asked(headers=(), kind=None):
    context = RequestContext("t", headers=dict(headers))
    return UnreadRequest("m", (), context) if kind else request(context=context)


async def outcome(it, **headers):
    inner = Inner()
    pairs = {f"x-gateway-{name}".encode(): value.encode() for name, value in headers.items()}
    try:
        await Turnstile(inner, it.gate)(asked(pairs))
    except Overloaded:
        assert inner.reached == 0
        return "turned away"
    return "passed" if inner.reached else "lost"


@scene
async def test_with_a_place_or_a_short_queue_all_pass():
    it = Scene(2, queue=50)
    assert await outcome(it) == "passed"
    it.ask("a")
    it.ask("b")
    await let_wait(it, 20)
    assert await outcome(it) == "passed"  # it may be a burst
    await it.all_out()


@scene
async def test_in_a_queue_that_does_not_pass_what_would_wait_in_vain_is_turned_away_and_counted():
    it = await crowded()
    before = it.recorder.reasons.count(("wait", "default"))
    assert await outcome(it) == "turned away"
    assert it.recorder.reasons.count(("wait", "default")) == before + 1
    await it.all_out()


@scene
async def test_what_is_critical_has_its_try():
    it = await crowded()
    assert await outcome(it, priority="critical") == "passed"
    assert await outcome(it, priority="sheddable") == "turned away"
    await it.all_out()


@scene
async def test_what_is_critical_has_its_try_even_where_much_of_it_waits():
    it = await crowded()
    await let_wait(it, 20, CRITICAL)
    await asyncio.sleep(0.45)
    await let_wait(it, 20, CRITICAL)
    await asyncio.sleep(0.1)
    assert it.gate.waiting == 20
    assert await outcome(it, priority="critical") == "passed"
    await it.all_out()


@scene
async def test_a_burst_is_no_queue_that_does_not_pass():
    it = Scene(4, queue=50, wait=0.5)
    it.ask("first")
    await asyncio.sleep(0.2)
    await it.let_out("first")
    await let_wait(it, 30)
    await asyncio.sleep(0.3)
    assert await outcome(it) == "passed"
    await it.all_out()


@scene
async def test_who_is_turned_away_is_told_after_the_time_that_it_would_have_waited():
    it, loop = await crowded(), asyncio.get_running_loop()
    began = loop.time()
    assert await outcome(it) == "turned away"
    assert loop.time() - began == pytest.approx(0.1)  # half an answer's time
    await it.all_out()


@scene
async def test_a_client_that_has_not_asked_has_its_turn():
    it = await crowded()
    assert await outcome(it, client="modest") == "passed"
    await let_wait(it, 2, client="modest")
    assert await outcome(it, client="modest") == "turned away"  # three of the others' come before it, and its own
    await it.all_out()


@scene
async def test_weights_count():
    it = await crowded(weights={"modest": 4})
    await let_wait(it, 1, client="modest")
    assert await outcome(it, client="modest") == "passed"
    await it.all_out()


@scene
async def test_as_soon_as_the_queue_is_short_they_pass_again():
    it = await crowded()
    for name in "abcd":
        await it.let_out(name)
    assert it.gate.waiting == 2
    assert await outcome(it) == "passed"
    await it.all_out()


@scene
async def test_what_is_unread_goes_no_further():
    it = Scene(2)
    with pytest.raises(Overloaded, match="model 'm' is overloaded"):
        await Turnstile(Inner(), it.gate)(asked(kind="unread"))
    assert it.recorder.reasons == [("wait", "default")]


@scene
async def test_a_wrong_priority_is_an_error_here_too():
    it = await crowded()
    with pytest.raises(InvalidRequest, match="x-gateway-priority"):
        await Turnstile(Inner(), it.gate)(asked({b"x-gateway-priority": b"high"}))
    await it.all_out()
