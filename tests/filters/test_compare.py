"""Comparisons: everybody else is asked too, and a client that wants to know waits to hear of it."""

import asyncio

import pytest
from support.mirrors import Scene
from support.services import Recording, request
from support.virtual_time import run_virtual

from gateway.core.errors import BackendError
from gateway.core.messages import RequestContext
from gateway.filters.compare import Compare
from gateway.filters.mirror import Target


class Primary(Recording):
    async def __call__(self, request):
        response = await super().__call__(request)
        request.context.served_by = "a"
        return response


def compare(scene, share=0.0, primary=None, patience=5.0):
    mirrors = {name: scene.to(Target(name)) for name in ("a", "b")}
    return Compare(primary or Primary(), mirrors, share, patience, random=lambda: 0.5)


def asking(deadline=60.0, **changes):
    context = RequestContext("test", compare=True, deadline=deadline)
    return request(context=context, **changes)


def ask(service, message):
    async def scenario():
        await service(message)
        told = asyncio.get_running_loop().time()
        await asyncio.sleep(60)
        return told

    return run_virtual(scenario())


def told(message):
    return [(each.backend, each.max_abs, each.problem) for each in message.context.compared]


def test_a_client_that_asks_waits_and_is_told():
    scene = Scene()
    scene.played.seconds, scene.played.off = 2, 0.25
    message = asking()
    assert ask(compare(scene), message) == 2
    assert told(message) == [("a", None, ""), ("b", 0.25, "")]
    assert all(each.seconds is not None for each in message.context.compared)
    assert scene.recorders["m", "b"].outcomes == ["ok"]
    assert scene.recorders["m", "a"].outcomes == scene.recorders["m", "a"].dropped == []


def test_its_waiting_is_for_backends_and_no_work_of_the_gateways(monkeypatch):
    scene = Scene()
    scene.played.seconds = 2
    message = asking()

    async def scenario():
        monkeypatch.setattr("time.perf_counter", asyncio.get_running_loop().time)
        await compare(scene)(message)

    run_virtual(scenario())
    assert message.context.backend_seconds == 2


@pytest.mark.parametrize(("share", "copies"), [(0.5, 0), (0.6, 1)])
def test_for_the_others_a_share_is_compared_and_nobody_waits(share, copies):
    scene = Scene()
    scene.played.seconds = 2
    message = request()
    assert ask(compare(scene, share), message) == 0
    assert len(scene.played.requests) == copies
    assert message.context.compared == ()


@pytest.mark.parametrize(("deadline", "patience", "waited"), [(60, 3, 3), (2, 3, 1.6)])
def test_the_answer_is_never_lost_to_one_that_hangs(deadline, patience, waited):
    scene = Scene()
    scene.played.seconds = 3600
    message = asking(deadline)
    assert ask(compare(scene, patience=patience), message) == pytest.approx(waited)
    assert told(message)[1:] == [("b", None, "pending")]


def test_why_there_is_no_answer_is_told():
    scene = Scene()
    scene.played.error = BackendError("no")
    message = asking()
    ask(compare(scene), message)
    assert told(message)[1:] == [("b", None, "backend_error")]
    scene.endpoints()["b"].healthy = False
    message = asking()
    assert ask(compare(scene), message) == 0
    assert told(message)[1:] == [("b", None, "down")]


def test_what_changes_a_state_is_not_sent_twice():
    scene = Scene()
    message = asking(parameters={"sequence_id": 7})
    ask(compare(scene, 1.0), message)
    assert scene.played.requests == []
    assert message.context.compared == ()


def test_a_client_that_leaves_while_it_waits_ends_nothing_else():
    scene = Scene()
    scene.played.seconds = 2

    async def scenario():
        task = asyncio.create_task(compare(scene)(asking()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(60)

    run_virtual(scenario())
    assert scene.recorders["m", "b"].outcomes == ["ok"]
