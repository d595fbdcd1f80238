"""Retries: what may go again, where to, how often, and what the client gets when it was of no use."""

import asyncio

import pytest
from support.played_backends import PlayedBackends
from support.services import request
from support.virtual_time import run_virtual

from gateway.core.errors import (
    AttemptTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    QueueTimeout,
    RequestRefused,
    Unsupported,
)
from gateway.core.messages import RequestContext
from gateway.core.retry_budget import RetryBudget
from gateway.filters.deadline import Deadline
from gateway.filters.retry import Retry

SAFE = [ConnectFailed, ConnectionLost, Overloaded, BackendError, AttemptTimeout]
FINAL = [
    RequestRefused, DeadlineExceeded, QueueTimeout, InvalidRequest, PayloadTooLarge, ModelNotFound, Unsupported
]  # fmt: skip
STATEFUL = {"sequence_id": 7}


class Recorder:
    def __init__(self):
        self.reasons = []
        self.refused = 0

    def retried(self, reason):
        self.reasons.append(reason)

    def retry_refused(self):
        self.refused += 1


class Scene:
    """A retry filter over played backends."""

    def __init__(self, *, attempts=3, share=0.2, per_second=10, **played):
        self.backends = PlayedBackends(**played)
        self.recorder = Recorder()
        self.service = Retry(self.backends, attempts, RetryBudget(share, per_second), self.recorder)

    def ask(self, **changes):
        message = request(**changes)
        run_virtual(self.service(message))
        return message.context.served_by


@pytest.mark.parametrize("kind", SAFE, ids=lambda kind: kind.__name__)
def test_what_another_backend_may_do_better_goes_to_another_one(kind):
    scene = Scene(a=[kind("no")], b=[])
    assert scene.ask() == "b"
    assert scene.backends.asked == ["a", "b"]
    assert scene.recorder.reasons == [kind.reason]


@pytest.mark.parametrize("kind", FINAL, ids=lambda kind: kind.__name__)
def test_what_no_backend_will_do_better_is_told_at_once(kind):
    scene = Scene(a=[kind("no")], b=[])
    with pytest.raises(kind):
        scene.ask()
    assert scene.backends.asked == ["a"]
    assert scene.recorder.reasons == []


@pytest.mark.parametrize("kind", SAFE, ids=lambda kind: kind.__name__)
def test_a_request_of_a_sequence_goes_again_only_if_nobody_saw_it(kind):
    scene = Scene(a=[kind("no")], b=[])
    if kind is ConnectFailed:
        assert scene.ask(parameters=STATEFUL) == "b"
    else:
        with pytest.raises(kind):
            scene.ask(parameters=STATEFUL)
        assert scene.backends.asked == ["a"]


def test_sequence_0_is_none():
    assert Scene(a=[ConnectionLost("no")], b=[]).ask(parameters={"sequence_id": 0}) == "b"


def test_a_client_that_names_its_backend_gets_its_failure():
    scene = Scene(a=[ConnectFailed("no")], b=[])
    with pytest.raises(ConnectFailed):
        scene.ask(context=RequestContext("test", backend="a"))
    assert scene.backends.asked == ["a"]


def test_there_are_so_many_attempts_and_no_more():
    fails = {name: [ConnectionLost(name)] for name in "abcd"}
    scene = Scene(**fails)
    with pytest.raises(ConnectionLost, match="c"):
        scene.ask()
    assert scene.backends.asked == ["a", "b", "c"]
    assert scene.recorder.reasons == ["connection_lost"] * 2
    with pytest.raises(ConnectionLost, match="a"):
        Scene(attempts=1, **fails | {"a": [ConnectionLost("a")]}).ask()


def test_each_retry_counts_by_what_it_was_made_for():
    scene = Scene(a=[Overloaded("full")], b=[BackendError("broken")], c=[])
    assert scene.ask() == "c"
    assert scene.recorder.reasons == ["overloaded", "backend_error"]


def test_a_second_failure_that_is_final_is_the_answer():
    scene = Scene(a=[ConnectionLost("lost")], b=[RequestRefused("bad")], c=[])
    with pytest.raises(RequestRefused):
        scene.ask()
    assert scene.backends.asked == ["a", "b"]


def test_when_nobody_else_is_left_the_failure_is_told_and_costs_no_budget():
    scene = Scene(per_second=0.1, share=0, a=[ConnectionLost("lost"), ConnectionLost("lost again"), Overloaded("x")])
    for problem in ("lost", "lost again"):
        with pytest.raises(ConnectionLost, match=problem):
            scene.ask()
    assert scene.recorder.reasons == []
    assert scene.recorder.refused == 0


def test_the_failure_that_is_told_is_of_the_backend_that_is_named():
    scene = Scene(a=[ConnectionLost("lost")], b=[Overloaded("full")])
    message = request()
    with pytest.raises(Overloaded):
        run_virtual(scene.service(message))
    assert message.context.served_by == "b"


def test_a_budget_that_is_used_up_stops_retries_and_is_counted():
    scene = Scene(per_second=0, share=0.2, a=[ConnectionLost("no") for _ in range(100)], b=[])

    async def hundred():
        results = await asyncio.gather(*(scene.service(request()) for _ in range(100)), return_exceptions=True)
        return [result for result in results if isinstance(result, ConnectionLost)]

    assert len(run_virtual(hundred())) == 80
    assert len(scene.recorder.reasons) == 20
    assert scene.recorder.refused == 80


def test_the_deadline_ends_a_retry_too():
    scene = Scene(a=[ConnectionLost("lost")], b=[3600.0], c=[])

    async def scenario():
        with pytest.raises(DeadlineExceeded):
            await Deadline(scene.service, 60)(request(context=RequestContext("test", timeout=0.25)))
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(0.25, abs=0.01)
    assert scene.backends.asked == ["a", "b"]
    assert scene.backends.cancelled == ["b"]


def test_a_cancelled_request_is_not_sent_again():
    scene = Scene(a=[asyncio.CancelledError()], b=[])
    with pytest.raises(asyncio.CancelledError):
        scene.ask()
    assert scene.backends.asked == ["a"]
