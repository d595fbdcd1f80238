"""Hedges, in virtual time: most requests take 10 ms, so that one is late after as much and a tenth."""

import asyncio

import pytest
from support.played_backends import PlayedBackends
from support.services import request
from support.spans import NotedSpan
from support.virtual_time import run_virtual

from gateway.core.errors import BackendError, ConnectionLost, DeadlineExceeded
from gateway.core.messages import RequestContext
from gateway.core.recent_latency import RecentLatency
from gateway.core.retry_budget import RetryBudget
from gateway.core.tracing import child_span
from gateway.filters.deadline import Deadline
from gateway.filters.hedge import Hedge
from gateway.filters.retry import Retry

USUAL = 0.010
SLOW = 100.0


class Recorder:
    def __init__(self):
        self.events = []

    def hedged(self, *, won):
        self.events.append("won" if won else "lost")

    def retried(self, reason):
        self.events.append(reason)

    def retry_refused(self):
        raise AssertionError("there is budget for all")


class Scene:
    """A hedging filter over played backends that has seen ``seen`` requests."""

    def __init__(self, *, seen=112, budget=0.05, excluded=(), **played):
        self.backends = PlayedBackends(**played)
        self.recorder = Recorder()
        self.latency = RecentLatency(0.95)
        for _ in range(seen):
            self.latency.add(USUAL, 0.0)
        self.budget = RetryBudget(budget, per_second=0)
        for _ in range(seen):
            self.budget.deposit(0.0)
        self.service = Hedge(self.backends, self.latency, self.budget, excluded, self.recorder)

    def ask(self, message=None, service=None):
        """The seconds until the answer."""

        async def timed():
            await (service or self.service)(message or request())
            return asyncio.get_running_loop().time()

        return run_virtual(timed())


def test_a_late_request_goes_to_a_second_backend_which_wins():
    scene, message = Scene(a=[SLOW], b=[USUAL]), request()
    assert 2 * USUAL <= scene.ask(message) <= 2.2 * USUAL
    assert scene.backends.asked == ["a", "b"]
    assert scene.backends.cancelled == ["a"]
    assert message.context.served_by == "b"
    assert scene.recorder.events == ["won"]


def test_the_first_backend_may_still_win():
    scene, message = Scene(a=[2 * USUAL], b=[SLOW]), request()
    assert scene.ask(message) == pytest.approx(2 * USUAL)
    assert scene.backends.cancelled == ["b"]
    assert message.context.served_by == "a"
    assert message.context.backend_seconds == pytest.approx(2 * USUAL)
    assert scene.recorder.events == ["lost"]


def test_who_is_in_time_is_not_hedged():
    scene = Scene(a=[USUAL], b=[])
    assert scene.ask() == pytest.approx(USUAL)
    assert scene.backends.asked == ["a"]
    assert scene.recorder.events == []


def test_nobody_is_late_before_there_are_samples():
    scene = Scene(seen=90, a=[SLOW], b=[])
    assert scene.ask() == SLOW
    assert scene.backends.asked == ["a"]


def test_the_time_that_is_told_is_what_passed_and_no_sum():
    message = request()
    seconds = Scene(a=[SLOW], b=[3 * USUAL]).ask(message)
    assert message.context.backend_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "changes",
    [
        {"context": RequestContext("test", backend="a")},
        {"context": RequestContext("test", tried=("0",))},  # a retry
        {"parameters": {"sequence_id": "s"}},
    ],
)
def test_what_must_run_once_and_there_is_not_hedged(changes):
    scene = Scene(a=[SLOW], b=[])
    assert scene.ask(request(**changes)) == SLOW
    assert scene.backends.asked == ["a"]


def test_excluded_backends_are_neither_left_nor_asked():
    scene = Scene(excluded=["a"], a=[1.0], b=[])
    assert scene.ask() == 1.0
    assert scene.backends.asked == ["a"]
    scene = Scene(excluded=["b"], a=[SLOW], b=[], c=[])
    scene.ask()
    assert scene.backends.asked == ["a", "c"]


def test_without_a_second_backend_the_first_is_waited_for_and_nothing_spent():
    scene = Scene(a=[1.0])
    before = sum(scene.budget.withdraw(0.0) for _ in range(5))
    for _ in range(5):
        scene.budget.refund(0.0)
    assert scene.ask() == 1.0
    assert scene.recorder.events == []
    assert sum(scene.budget.withdraw(0.0) for _ in range(5)) == before == 5


def test_the_budget_bounds_the_share():
    scene = Scene(seen=160, budget=0.05, a=[SLOW] * 100, b=[])

    async def scenario():
        await asyncio.gather(*(scene.service(request()) for _ in range(100)))

    run_virtual(scenario())
    assert scene.backends.asked.count("b") == 13  # 5 % of 260


def test_a_failure_in_time_is_told_at_once():
    scene = Scene(a=[ConnectionLost("no")], b=[])
    with pytest.raises(ConnectionLost):
        scene.ask()
    assert scene.backends.asked == ["a"]


@pytest.mark.parametrize(("of_first", "of_second"), [(2 * USUAL, 9 * USUAL), (9 * USUAL, 2 * USUAL)])
def test_one_failure_is_none_while_the_other_may_answer(of_first, of_second):
    scene, message = Scene(a=[(of_first, ConnectionLost("lost"))], b=[of_second]), request()
    seconds = scene.ask(message)
    assert message.context.served_by == "b"
    assert message.context.backend_seconds == pytest.approx(seconds)
    scene, message = Scene(a=[of_first], b=[(of_second / 2, ConnectionLost("lost"))]), request()
    assert scene.ask(message) == pytest.approx(of_first)
    assert message.context.served_by == "a"


def two_failures():
    return {"a": [(2 * USUAL, BackendError("of a"))], "b": [(3 * USUAL, ConnectionLost("of b"))]}


def test_two_failures_are_one():
    scene, message = Scene(**two_failures()), request()
    with pytest.raises(BackendError, match="of a"):
        scene.ask(message)
    assert message.context.served_by == "a"


def test_after_two_failures_a_retry_goes_to_a_third_backend():
    scene = Scene(**two_failures(), c=[])
    scene.ask(service=Retry(scene.service, 3, RetryBudget(0, 10), scene.recorder))
    assert scene.backends.asked == ["a", "b", "c"]
    assert scene.recorder.events == ["lost", "backend_error"]


def test_the_deadline_cancels_both():
    scene = Scene(a=[SLOW], b=[SLOW])
    with pytest.raises(DeadlineExceeded):
        scene.ask(request(context=RequestContext("test", timeout=1.0)), Deadline(scene.service, 60))
    assert sorted(scene.backends.cancelled) == ["a", "b"]


def test_losers_keep_the_percentile_where_it_is():
    scene = Scene(seen=200, budget=1.0, a=[USUAL, SLOW] * 200, b=[USUAL] * 200)

    async def scenario():
        for _ in range(400):
            await scene.service(request())

    run_virtual(scenario())
    # Half of the requests are slow, so the percentile is among these, as it would be if they had been waited for.
    assert scene.latency.value > USUAL * 1.1


def test_both_attempts_hang_below_the_request_in_its_trace():
    span = NotedSpan()
    scene = Scene()
    backends = PlayedBackends(a=[SLOW], b=[USUAL])

    async def traced(message):
        with child_span(message.context, "attempt"):
            return await backends(message)

    scene.service.inner = traced
    scene.ask(request(context=RequestContext("test", span=span, traceparent=span.traceparent)))
    assert [child.outcome for child in span.children] == ["cancelled", "ok"]
    assert not any(child.children for child in span.children)
