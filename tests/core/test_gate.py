"""The gate: who is let in, who waits, who is refused and why."""

import asyncio
import contextlib

import pytest
from support.gates import Scene, scene, settled

from gateway.core.clients import Clients
from gateway.core.criticality import Criticality
from gateway.core.errors import Overloaded, QueueTimeout
from gateway.core.gate import GateLimits

CRITICAL, DEFAULT, SHEDDABLE = Criticality


@scene
async def test_who_finds_room_goes_in_and_the_others_follow_in_their_order():
    it = Scene()
    tasks = [it.ask(number) for number in range(5)]
    await settled()
    assert (it.order, it.gate.in_flight, it.gate.waiting) == ([0, 1], 2, 3)
    await it.let_out(1)
    assert (it.order, it.gate.in_flight, it.gate.waiting) == ([0, 1, 2], 2, 2)
    await it.all_out()
    contexts = await asyncio.gather(*tasks)
    assert it.order == [0, 1, 2, 3, 4]
    assert (it.gate.in_flight, len(it.recorder.waits)) == (0, 3)
    assert [context.admission_seconds for context in contexts] == [0, 0, 0, 0, 0]  # of virtual time


@scene
async def test_the_wait_is_part_of_the_requests_time():
    it = Scene(1)
    first, second = it.ask("first"), it.ask("second")
    await asyncio.sleep(0.06)
    await it.let_out("first")
    await it.all_out()
    assert (await first).parts(1.0).get("admission") is None
    parts = (await second).parts(1.0)
    assert parts["admission"] == pytest.approx(0.06)
    assert sum(parts.values()) == pytest.approx(1.0)
    assert it.recorder.waits == [pytest.approx(0.06)]


@scene
async def test_who_does_not_get_in_soon_is_refused_and_told_when_to_come_back():
    it = Scene(1)
    it.ask("first")
    loop = asyncio.get_running_loop()
    with pytest.raises(Overloaded, match="model 'm' is overloaded: its turn did not come in time") as told:
        await it.ask("second")
    assert loop.time() == pytest.approx(0.1)
    assert told.value.retry_after >= 0.1
    assert it.recorder.reasons == [("wait", "default")]
    assert (it.gate.in_flight, it.gate.waiting) == (1, 0)
    await it.all_out()


@scene
async def test_in_a_queue_that_does_not_pass_nobody_waits_for_long_but_who_is_before_it():
    it, loop = Scene(1, wait=0.2), asyncio.get_running_loop()
    it.ask("first")
    await asyncio.sleep(0.05)
    await it.let_out("first")  # so that an answer takes 0.05 s
    it.ask("holds on")
    waited = {}

    async def timed(name, *args):
        began = loop.time()
        with contextlib.suppress(Overloaded):
            await it.ask(name, *args)
        waited[name] = loop.time() - began

    tasks = []
    for number in range(60):  # somebody waits all the time
        tasks.append(asyncio.create_task(timed(number)))
        await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(timed("default")), asyncio.create_task(timed("critical", CRITICAL))]
    await asyncio.wait(tasks)
    assert waited[0] == pytest.approx(0.2)
    assert waited["default"] == pytest.approx(0.025)
    assert waited["critical"] == pytest.approx(0.2)
    await asyncio.sleep(1)
    await timed("after a while")
    assert waited["after a while"] == pytest.approx(0.2)
    await it.all_out()


@scene
async def test_who_cannot_have_an_answer_in_time_does_not_wait_for_it():
    it, loop = Scene(1), asyncio.get_running_loop()
    it.ask("first")
    await asyncio.sleep(0.05)
    await it.let_out("first")
    it.ask("second")
    began = loop.time()
    with pytest.raises(Overloaded, match="deadline cannot be met"):
        await it.ask("hopeless", deadline=began + 0.04)
    assert loop.time() == began
    with pytest.raises(Overloaded, match="deadline cannot be met"):
        await it.ask("hopeful", deadline=began + 0.07)
    assert loop.time() - began == pytest.approx(0.02)
    assert it.recorder.reasons == [("deadline", "default")] * 2
    await it.all_out()


@scene
async def test_a_client_may_give_a_request_less_time_to_wait():
    it = Scene(1)
    it.ask("first")
    with pytest.raises(QueueTimeout, match="model 'm'"):
        await it.ask("second", queue_timeout=0.03)
    assert asyncio.get_running_loop().time() == pytest.approx(0.03)
    await it.all_out()


@scene
async def test_what_is_sheddable_has_a_share_and_comes_last():
    it = Scene(4)
    tasks = [it.ask(f"s{number}", SHEDDABLE) for number in range(4)]
    await settled()
    assert it.order == ["s0", "s1"]
    tasks += [it.ask(name) for name in ("d0", "d1", "d2")] + [it.ask("c0", CRITICAL)]
    await settled()
    assert it.order == ["s0", "s1", "d0", "d1"]  # those that wait and may not go in stop nobody
    await it.let_out("d0")
    await it.let_out("d1")
    assert it.order[4:] == ["c0", "d2"]
    await it.let_out("d2")
    assert it.order[6:] == []  # three are inside, and the share is two
    await it.all_out()
    await asyncio.gather(*tasks)
    assert it.order[6:] == ["s2", "s3"]


@scene
async def test_a_share_of_little_is_one():
    it = Scene(1, sheddable=0.01)
    task = it.ask("s", SHEDDABLE)
    await settled()
    await it.all_out()
    await task


@scene
async def test_clients_take_turns():
    it = Scene(1)
    tasks = [it.ask("first")]
    tasks += [it.ask(("greedy", number), client="greedy") for number in range(5)]
    tasks += [it.ask(("modest", number), client="modest") for number in range(2)]
    await settled()
    await it.all_out()
    await asyncio.gather(*tasks)
    assert [name for name, _ in it.order[1:]] == ["greedy", "modest", "greedy", "modest", *["greedy"] * 3]


@scene
async def test_in_a_full_queue_who_matters_least_makes_room():
    it = Scene(1, queue=2)
    it.ask("first")
    tasks = [it.ask("s0", SHEDDABLE), it.ask("s1", SHEDDABLE)]
    await settled()
    with pytest.raises(Overloaded, match="as many requests wait as may"):
        await it.ask("s2", SHEDDABLE)
    critical = it.ask("c", CRITICAL)
    with pytest.raises(Overloaded, match="more important requests wait"):
        await tasks[1]
    assert it.recorder.reasons == [("full", "sheddable"), ("displaced", "sheddable")]
    assert it.gate.waiting == 2
    await it.all_out()
    await asyncio.gather(critical, tasks[0])
    assert it.order == ["first", "c", "s0"]


@scene
async def test_who_leaves_while_it_waits_has_no_place():
    it = Scene(1)
    tasks = [it.ask(number) for number in range(3)]
    await settled()
    tasks[1].cancel()
    await settled()
    assert it.gate.waiting == 1
    await it.let_out(0)
    assert it.order == [0, 2]
    await it.all_out()
    assert (it.gate.in_flight, it.gate.waiting) == (0, 0)


@scene
async def test_who_leaves_in_the_moment_of_its_turn_hands_it_on():
    it = Scene(1)
    tasks = [it.ask(number) for number in range(3)]
    await settled()
    it.gate.leave()  # the turn of 1 has come, and before it knows that it is cancelled
    tasks[1].cancel()
    await settled()
    assert it.order == [0, 2]
    it.gate.in_flight += 1  # for the one that has left twice
    await it.all_out()
    assert it.gate.in_flight == 0


@scene
async def test_who_has_left_in_the_moment_of_its_turn_gets_none():
    it = Scene(1)
    tasks = [it.ask(number) for number in range(3)]
    await settled()
    tasks[1].cancel()  # and before it knows, its turn comes
    it.gate.leave()
    await settled()
    assert it.order == [0, 2]
    it.gate.in_flight += 1  # for the one that has left twice
    await it.all_out()
    assert it.gate.in_flight == 0


@scene
async def test_a_place_is_taken_from_when_it_is_given_and_not_from_when_the_loop_goes_on():
    it = Scene(1)
    it.ask("first"), it.ask("second")
    await settled()
    it.gate.leave()
    it.late += 0.02
    await settled()
    assert (it.began["second"], it.clock()) == (pytest.approx(0.0), pytest.approx(0.02))
    it.gate.in_flight += 1  # for the one that has left twice
    await it.all_out()


async def let_one_in_for_another(it, late):
    """One that waits gets the place of one that leaves, and the event loop goes on with it so many seconds later."""
    while it.gate.enter(DEFAULT):
        pass
    task = it.ask("next")
    await settled()
    it.gate.leave()
    it.late += late
    await settled()
    task.cancel()
    await settled()


@pytest.mark.parametrize(("most", "places"), [(1000, 80), (40, 40), (16, 16)])
@scene
async def test_what_waits_for_the_event_loop_takes_no_place_from_the_backends(most, places):
    it = Scene(4, most=most)
    it.gate.enter(DEFAULT)
    it.gate.answered(0.1, it.clock())
    assert it.gate.limit == 16
    for _ in range(200):
        await let_one_in_for_another(it, late=0.02)  # four times in a tenth of a second
    assert it.gate.limit == pytest.approx(places, abs=1)
    for _ in range(400):
        await let_one_in_for_another(it, late=0.0)
    assert it.gate.limit == 16


@scene
async def test_when_nothing_is_answered_in_time_fewer_are_let_in():
    it = Scene(4, most=1000)
    for _ in range(400):
        for _ in range(it.gate.limit):
            assert it.gate.enter(DEFAULT)
        assert not it.gate.enter(DEFAULT)
        for _ in range(it.gate.in_flight):
            it.gate.exceeded(1.0)
    assert it.gate.limit == 4


@scene
async def test_one_that_is_late_because_it_had_no_time_says_nothing():
    it = Scene(4, most=1000)
    it.gate.enter(DEFAULT)
    it.gate.answered(0.5, 0.5)
    for _ in range(1000):
        for _ in range(16):
            it.gate.enter(DEFAULT)
        for _ in range(16):
            it.gate.exceeded(0.4)
    assert (it.gate.limit, it.gate.in_flight) == (16, 0)


@scene
async def test_nor_do_single_ones_that_a_backend_refuses():
    it = Scene(4, most=1000)
    for _ in range(1000):
        it.gate.enter(DEFAULT)
        it.gate.exceeded(float("inf"))
    assert it.gate.limit == 16


@scene
async def test_other_settings_are_for_those_who_come():
    it = Scene(1)
    it.ask("first"), it.ask("second")
    await settled()
    it.gate.adopt(
        GateLimits(least=3, most=3, queue=1, wait=0.1, sheddable=1), Clients("x-gateway-client", {}), lambda: 0
    )
    third = it.ask("third")
    await settled()
    assert it.gate.limit == 3
    await it.all_out()
    await third
    assert it.order == ["first", "second", "third"]
