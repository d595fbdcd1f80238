"""Copies of requests: whom they go to, what is made of the answers, and that they are bounded."""

import asyncio
import gc
import math
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs
from support.mirrors import Scene
from support.services import echo, request
from support.virtual_time import run_virtual

from gateway.core.current import CURRENT
from gateway.core.errors import BackendError, NoHealthyBackend
from gateway.core.messages import RequestContext
from gateway.filters.mirror import Original, Target, copy_of

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def original(message=None, served_by="a"):
    message = message or request()
    return Original(copy_of(message), echo(message).outputs, served_by, 0.25)


def send(scene, *originals):
    """What becomes of them, sent at once: findings, or why there is none."""

    async def scenario():
        begun = [scene.mirror.begin(each) for each in originals or [original()]]
        return [each if isinstance(each, str) else await each for each in begun]

    return run_virtual(scenario())


def test_a_copy_is_a_request_of_its_own():
    message = request(id="mine", version="1", outputs=("y",), parameters={"p": 1})
    message.context = RequestContext("oip-http", timeout=1.0, backend="a", traceparent=TRACE, priority=1)
    message.context.served_by, message.context.deadline = "a", 7.0
    scene = Scene()
    (finding,) = send(scene, original(message))
    (sent,) = scene.played.requests
    assert sent.context is not message.context
    assert (sent.context.protocol, sent.context.backend, sent.context.deadline) == ("shadow", "b", 5)
    assert (sent.context.traceparent, sent.context.priority, sent.context.tried) == (TRACE, 0, ())
    assert (sent.inputs, sent.outputs, sent.parameters, sent.id) == (message.inputs, ("y",), {"p": 1}, "mine")
    assert (message.version, message.context.served_by) == ("1", "a")
    assert finding.outcome == "ok"
    assert scene.recorder.outcomes == ["ok"]
    ((first, second),) = scene.recorder.times
    assert first == 0.25
    assert second == finding.seconds


def test_who_chooses_for_the_copy_sees_no_choice_that_was_made_before():
    message = request(version="9", label="l")
    scene = Scene()
    seen = []

    async def attempt(given):
        seen.append((given.version, given.label))
        return echo(given)

    scene.played = attempt
    scene.serve("1")
    send(scene, original(message))
    assert seen == [("", "")]


def test_what_is_logged_of_the_copy_has_its_ids():
    seen = []
    scene = Scene()

    async def attempt(given):
        seen.append(CURRENT.get())
        return echo(given)

    scene.played = attempt
    scene.serve("1")
    send(scene, original(request(id="mine", context=RequestContext("oip-http", traceparent=TRACE))))
    assert [(each.protocol, each.request_id, each.trace_id) for each in seen] == [("shadow", "mine", TRACE[3:35])]


@pytest.mark.parametrize(
    ("target", "name", "version", "backend"),
    [
        (Target("b"), "b", "1", "b"),
        (Target(version="2"), "version 2", "2", ""),
        (Target(label="next"), "label next", "2", ""),
        (Target("a", "2"), "version 2 on a", "2", "a"),
    ],
)
def test_targets_are_looked_up_by_backend_version_and_label(target, name, version, backend):
    scene = Scene(target, versions=("1", "2"), labels={"next": "2"})
    assert target.name == name
    send(scene)
    (sent,) = scene.played.requests
    assert sent.context.backend == backend
    assert scene.tally.outcomes == {"ok": 1}
    scene.catalog.remove("m", version)
    assert send(scene) == ["down"]
    scene.serve(version)
    assert send(scene)[0].outcome == "ok"


@pytest.mark.parametrize(
    ("target", "served_by", "itself"),
    [
        (Target("b"), "b", True),
        (Target("b"), "a", False),
        (Target(label="now"), "a", True),
        (Target("b", "1"), "b", True),
        (Target("b", "2"), "b", False),
    ],
)
def test_who_answered_is_not_asked_again(target, served_by, itself):
    scene = Scene(target, versions=("1", "2"), labels={"now": "1"})
    (found,) = send(scene, original(served_by=served_by))
    assert (found == "itself") == itself
    assert len(scene.played.requests) == (not itself)


def test_a_label_that_is_gone_is_a_target_that_is_down():
    assert send(Scene(Target(label="gone"))) == ["down"]


def test_a_target_that_is_down_or_busy_is_left_alone():
    scene = Scene()
    target = scene.endpoints()["b"]
    target.load.in_flight = 3
    assert send(scene) == ["busy"]
    target.load.in_flight = 2
    assert send(scene)[0].outcome == "ok"
    target.refusal = "it cannot"
    assert send(scene) == ["down"]
    target.refusal, target.healthy = "", False
    assert send(scene) == ["down"]
    assert scene.recorder.dropped == ["busy", "down", "down"]
    assert scene.tally.dropped == {"busy": 1, "down": 2}


def test_a_version_is_busy_when_all_its_backends_are():
    scene = Scene(Target(version="2"), versions=("1", "2"))
    ends = scene.endpoints("2")
    ends["a"].load.in_flight = 3
    assert send(scene)[0].outcome == "ok"
    ends["b"].load.in_flight = 3
    assert send(scene) == ["busy"]


def test_no_more_than_so_many_are_under_way():
    scene = Scene()
    scene.played.seconds = 1
    found = send(scene, *[original() for _ in range(3)])
    assert [each if isinstance(each, str) else each.outcome for each in found] == ["ok", "ok", "full"]
    assert send(scene)[0].outcome == "ok"


def test_one_that_is_cancelled_before_it_begins_makes_room():
    scene = Scene(concurrent=1)

    async def scenario():
        scene.mirror.begin(original()).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return (await scene.mirror.begin(original())).outcome

    assert run_virtual(scenario()) == "ok"


def test_memory_is_bounded_over_all_models():
    one = 8 + 8  # two FP32 in, two out
    scene = Scene(memory=2 * one, concurrent=10)
    scene.played.seconds = 1
    found = send(scene, *[original() for _ in range(3)])
    assert [each == "full" for each in found] == [False, False, True]


def test_answers_within_the_tolerance_are_equal():
    scene = Scene()
    scene.played.off = 0.5
    (finding,) = send(scene)
    assert (finding.outcome, scene.samples) == ("ok", [])
    assert scene.recorder.differences == [[0.5]]


def test_answers_beyond_it_are_kept_with_what_was_asked():
    scene = Scene()
    scene.played.off = 0.75
    message = request(array=np.array([[1, 2]], np.float32), id="mine", context=RequestContext("x", traceparent=TRACE))
    (finding,) = send(scene, original(message))
    assert finding.outcome == "differs"
    (kept,) = scene.samples
    assert (kept.model, kept.version, kept.target, kept.backends) == ("m", "1", "b", ("a", "b"))
    assert (kept.request_id, kept.trace_id) == ("mine", TRACE[3:35])
    assert kept.inputs[0].to_numpy().tolist() == kept.first[0].to_numpy().tolist() == [[1, 2]]
    assert kept.second[0].to_numpy().tolist() == [[1.75, 2.75]]
    assert kept.differences[0].max_abs == 0.75
    assert scene.tally.outcomes == {"differs": 1}
    assert (scene.tally.max_abs, scene.tally.rows, scene.tally.agreeing) == (0.75, 1, 1)


def test_an_answer_of_another_form_differs_infinitely():
    scene = Scene()

    async def attempt(given):
        response = echo(given)
        response.outputs = ()
        return response

    scene.played = attempt
    scene.serve("1")
    assert send(scene)[0].outcome == "differs"
    assert scene.tally.max_abs == math.inf


def test_nothing_is_kept_where_nothing_shall_be():
    scene = Scene(samples=0)
    scene.played.off = 9
    assert send(scene)[0].outcome == "differs"
    assert scene.samples == []


def test_large_answers_are_compared_in_a_thread(monkeypatch):
    scene = Scene()
    scene.played.off = 9
    calls = []

    async def to_thread(function, *args):
        calls.append(function)
        return function(*args)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    send(scene)
    assert not calls
    send(scene, original(request(array=np.zeros((1, 2**14 + 1), np.float32))))
    assert len(calls) == 1
    assert len(scene.samples) == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BackendError("no"), "backend_error"),
        (NoHealthyBackend("no"), "no_healthy_backend"),
    ],
)
def test_an_error_of_the_targets_is_counted_and_no_more(error, reason):
    scene = Scene()
    scene.played.error = error
    (finding,) = send(scene)
    assert finding.outcome == reason
    assert scene.recorder.outcomes == [reason]
    assert (scene.recorder.times, scene.recorder.differences, scene.samples) == ([], [], [])


def test_a_surprise_is_logged():
    scene = Scene()
    scene.played.error = RuntimeError("surprise")
    with capture_logs() as lines:
        assert send(scene)[0].outcome == "internal"
    assert [line["target"] for line in lines] == ["b"]


def test_a_target_that_hangs_is_given_up_at_its_own_deadline():
    scene = Scene(timeout=5)
    scene.played.seconds = 3600

    async def scenario():
        finding = await scene.mirror.begin(original())
        return finding.outcome, asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == ("deadline_exceeded", 5)
    assert scene.played.cancelled == 1
    assert scene.catalog.find("m", "1").in_flight.count == 0


@pytest.mark.parametrize("off", [0.0, 9.0])
def test_nobody_holds_the_message_of_a_request_when_its_copy_is_over(off):
    scene = Scene()
    scene.played.off = off
    body = bytearray(1000)
    message = request()
    message.inputs = (replace(message.inputs[0], data=memoryview(body)[8:16]),)
    given = original(message)
    send(scene, given)
    scene.played.requests.clear()
    del message, given
    gc.collect()
    body.clear()  # BufferError while anybody holds a view
    assert len(scene.samples) == (off > 0)


def test_the_target_stays_loaded_while_it_is_asked():
    scene = Scene(Target(version="2"), versions=("1", "2"))
    scene.played.seconds = 1

    async def scenario():
        task = scene.mirror.begin(original())
        await asyncio.sleep(0.5)
        assert scene.catalog.find("m", "2").in_flight.count == 1
        await task
        assert scene.catalog.find("m", "2").in_flight.count == 0

    run_virtual(scenario())


def test_at_the_end_of_the_process_all_are_given_up():
    scene = Scene()
    scene.played.seconds = 3600

    async def scenario():
        task = scene.mirror.begin(original())
        await asyncio.sleep(1)
        await scene.shared.copies.close()
        assert task.cancelled()
        assert asyncio.get_running_loop().time() == 1
        assert scene.mirror.begin(original()) == "full"

    run_virtual(scenario())
    assert scene.catalog.find("m", "1").in_flight.count == 0
