"""The response cache around a recording service; time is virtual."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.services import Recording, echo, request
from support.spans import NotedSpan
from support.virtual_time import run_virtual

from gateway.core.catalog import ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import (
    BackendError,
    DeadlineExceeded,
    GatewayError,
    InvalidRequest,
    NoHealthyBackend,
    Overloaded,
    QueueTimeout,
)
from gateway.core.messages import InferResponse, RequestContext
from gateway.core.response_cache import ANSWER_BYTES, TENSOR_BYTES, ResponseCache
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor
from gateway.core.tracing import child_span
from gateway.filters.cache import Cache, Caching
from gateway.filters.deadline import Deadline
from gateway.filters.validate import Validate

SIGNATURE = Signature((TensorSpec("x", Datatype.FP32, (-1, 2)),), (TensorSpec("y", Datatype.FP32, (-1, 2)),))
ENTRY = ANSWER_BYTES + TENSOR_BYTES + 8


class Recorder:
    def __init__(self):
        self.results, self.evicted = [], 0

    def cache_asked(self, result):
        self.results.append(result)

    def cache_evicted(self, count):
        self.evicted += count


class Slow:
    """A backend that takes ten seconds; its answers, which may be exceptions, are told in turn and are echoes else."""

    def __init__(self, *answers, seconds=10.0):
        self.answers, self.seconds = list(answers), seconds
        self.calls = self.under_way = 0

    async def __call__(self, message):
        self.calls += 1
        self.under_way += 1
        message.context.served_by = f"b{self.calls}"
        answer = self.answers.pop(0) if self.answers else None
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        message.context.backend_seconds += 1e-9
        if isinstance(answer, BaseException):
            raise answer
        return echo(message)


def model(name="m", version="1"):
    return ServedModel(name, version, "", SIGNATURE, 8, (), ())


class Setup:
    """A cache around ``inner``, and what there is to see of it."""

    def __init__(self, inner, limit=1_000_000, ttl=None, **kwargs):
        self.inner, self.recorder = inner, Recorder()
        self.caching = Caching(ResponseCache(limit, ttl), lambda name: self.recorder, **kwargs)
        self.model = model()
        self.cache = Cache(inner, self.model, self.caching)

    def ask(self, number=0.0, **changes):
        """Begin a request; returns its task and its context."""
        message = asked(number, **changes)
        return asyncio.create_task(self.cache(message)), message.context


def asked(number=0.0, *, timeout=None, **changes):
    context = changes.pop("context", None) or RequestContext("test", timeout=timeout)
    return request(array=np.full((1, 2), number, np.float32), context=context, **changes)


def number_of(response):
    return float(response.outputs[0].to_numpy()[0, 0])


def call(service, *messages):
    async def scenario():
        return [await service(message) for message in messages]

    return run_virtual(scenario())


# what is kept


def test_an_equal_request_is_answered_without_the_backend():
    setup = Setup(Recording())
    first, second, other = call(setup.cache, asked(1.0, id="a"), asked(1.0, id="b"), asked(2.0))
    assert (number_of(first), number_of(second), number_of(other)) == (1.0, 1.0, 2.0)
    assert len(setup.inner.requests) == 2
    assert setup.recorder.results == ["miss", "hit", "miss"]
    statistics = setup.model.statistics
    assert (statistics.cache_hit.count, statistics.cache_miss.count) == (1, 2)
    assert statistics.cache_hit.ns > 0


def test_a_hit_says_so():
    setup = Setup(Slow())
    messages = [asked(), asked()]
    call(setup.cache, *messages)
    assert [(each.context.served_by, each.context.cached) for each in messages] == [("b1", False), ("cache", True)]
    assert messages[1].context.backend_seconds == 0


def test_validate_above_it_names_each_answer_as_it_was_asked():
    service = Validate(Setup(Recording()).cache, model())
    first, second = call(service, request(id="a", outputs=("y",)), request(id="b", outputs=("y",)))
    assert (first.id, second.id) == ("a", "b")
    assert first is not second


def test_errors_are_not_kept():
    setup = Setup(Recording(BackendError("no"), BackendError("no")))
    for _ in range(2):
        with pytest.raises(BackendError):
            call(setup.cache, asked())
    assert number_of(*call(setup.cache, asked())) == 0.0
    assert len(setup.inner.requests) == 3


def test_an_answer_that_lacks_outputs_is_not_kept():
    setup = Setup(Recording(InferResponse("m", "1", ())))
    service = Validate(setup.cache, setup.model)
    with pytest.raises(BackendError, match="did not give"):
        call(service, asked())
    call(service, asked())
    assert setup.recorder.results == ["miss", "miss"]


@pytest.mark.parametrize(
    "changes",
    [
        {"context": RequestContext("test", backend="b")},
        {"context": RequestContext("test", fresh=True)},
        {"parameters": {"sequence_id": 7}},
    ],
)
def test_what_wants_its_own_answer_goes_past_the_cache(changes):
    setup = Setup(Recording())
    call(setup.cache, asked(), asked(**changes), asked(**changes), asked())
    assert setup.recorder.results == ["miss", "bypass", "bypass", "hit"]
    assert len(setup.inner.requests) == 3


def test_an_answer_grows_old():
    async def scenario():
        setup = Setup(Recording(), ttl=5.0)
        await setup.cache(asked())
        await asyncio.sleep(4)
        await setup.cache(asked())
        await asyncio.sleep(2)
        await setup.cache(asked())
        assert setup.recorder.results == ["miss", "hit", "miss"]

    run_virtual(scenario())


def test_answers_that_make_room_are_counted():
    setup = Setup(Recording(), limit=8 * ENTRY)
    call(setup.cache, *[asked(float(number)) for number in range(10)])
    assert setup.recorder.evicted == 2
    assert len(setup.caching.responses) == 8


def test_large_inputs_are_told_apart_as_well():
    async def scenario():
        setup = Setup(Recording(), limit=10**8)
        array = np.zeros((1, 300_000), np.float32)
        for last in (0, 1, 1):
            array[0, -1] = last
            await setup.cache(request(array=array))
        assert setup.recorder.results == ["miss", "miss", "hit"]

    asyncio.run(scenario())


def test_only_named_models_have_one():
    caching = Caching(ResponseCache(1), lambda name: Recorder(), frozenset({"m"}))
    assert (caching.covers("m"), caching.covers("n")) == (True, False)
    assert Caching(ResponseCache(1), lambda name: Recorder()).covers("n")


# loading


def test_a_model_loaded_anew_gives_no_old_answers():
    setup = Setup(Recording())
    call(setup.cache, asked())
    new = Cache(setup.inner, setup.model, setup.caching)
    call(new, asked())
    assert setup.recorder.results == ["miss", "miss"]
    call(setup.cache, asked())  # one that was on its way already
    assert setup.recorder.results == ["miss"] * 3
    assert len(setup.caching.responses) == 1


def test_a_new_stack_for_the_same_loading_goes_on_with_what_is_kept():
    setup = Setup(Recording())
    call(setup.cache, asked())
    new = Cache(setup.inner, setup.model, replace(setup.caching, goes_on=True))
    call(new, asked())
    assert setup.recorder.results == ["miss", "hit"]
    setup.caching.responses.close("m")
    call(Cache(setup.inner, setup.model, replace(setup.caching, goes_on=True)), asked())
    assert setup.recorder.results == ["miss", "hit", "miss"]


def test_an_answer_from_before_the_loading_is_not_kept_after_it():
    async def scenario():
        setup = Setup(Slow())
        old, _ = setup.ask()
        await asyncio.sleep(5)
        new = Cache(setup.inner, setup.model, setup.caching)
        later = asyncio.create_task(new(asked()))
        await old
        assert len(setup.caching.responses) == 0
        assert not later.done()  # it did not join the old one
        await later
        assert setup.inner.calls == 2

    run_virtual(scenario())


def test_models_and_versions_do_not_share_answers():
    setup = Setup(Recording())
    for each in (model("m", "1"), model("m", "2"), model("n", "1")):
        call(Cache(setup.inner, each, setup.caching), asked())
    assert setup.recorder.results == ["miss"] * 3


# requests under way


def test_equal_requests_under_way_share_one_call():
    async def scenario():
        setup = Setup(Slow())
        asking = [setup.ask(id=str(each)) for each in range(5)]
        responses = await asyncio.gather(*[task for task, _ in asking])
        assert setup.inner.calls == 1
        assert len({id(response) for response in responses}) == 5
        assert setup.recorder.results == ["miss"] + ["joined"] * 4
        assert [context.served_by for _, context in asking] == ["b1"] * 5
        assert [context.cached for _, context in asking] == [False] + [True] * 4
        assert setup.model.statistics.cache_hit.count == 4
        assert not setup.cache._calls

    run_virtual(scenario())


def test_the_call_is_not_bound_to_the_deadline_of_whoever_began_it():
    seen = []

    async def inner(message):
        seen.append((message.context.timeout, message.context.deadline))
        await asyncio.sleep(10)
        return echo(message)

    async def scenario():
        setup = Setup(inner)
        service = Deadline(setup.cache, 60)
        impatient = asyncio.create_task(service(asked(timeout=5.0)))
        await asyncio.sleep(1)
        patient = asyncio.create_task(service(asked(timeout=20.0)))
        with pytest.raises(DeadlineExceeded):
            await impatient
        assert number_of(await patient) == 0.0
        assert asyncio.get_running_loop().time() == pytest.approx(10)  # the call went on; none was made anew
        assert seen == [(None, float("inf"))]

    run_virtual(scenario())


def test_a_follower_keeps_its_own_deadline():
    async def scenario():
        setup = Setup(Slow())
        service = Deadline(setup.cache, 60)
        patient = asyncio.create_task(service(asked()))
        await asyncio.sleep(1)
        with pytest.raises(DeadlineExceeded):
            await service(asked(timeout=5.0))
        assert asyncio.get_running_loop().time() == pytest.approx(6, abs=0.1)
        await patient
        assert setup.inner.calls == 1

    run_virtual(scenario())


def test_the_call_ends_when_nobody_waits_any_more_and_is_joined_by_none():
    async def scenario():
        setup = Setup(Slow())
        (first, _), (second, _) = setup.ask(), setup.ask()
        await asyncio.sleep(1)
        first.cancel()
        second.cancel()
        later, _ = setup.ask()
        await asyncio.wait([first, second])
        await asyncio.sleep(1)
        last, _ = setup.ask()  # the end of the first call has not hidden the second one
        await asyncio.gather(later, last)
        assert setup.inner.calls == 2
        assert setup.recorder.results == ["miss", "joined", "miss", "joined"]
        assert not setup.cache._calls

    run_virtual(scenario())


def test_what_is_wrong_with_the_request_is_told_to_all_who_sent_it():
    async def scenario():
        setup = Setup(Slow(InvalidRequest("no such thing")))
        tasks = [setup.ask()[0] for _ in range(3)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(error) for error in found] == ["no such thing"] * 3
        assert setup.inner.calls == 1

    run_virtual(scenario())


def test_what_may_pass_is_tried_once_more_for_all_the_others():
    async def scenario():
        setup = Setup(Slow(NoHealthyBackend("down")))
        tasks = [setup.ask()[0] for _ in range(5)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [NoHealthyBackend] + [InferResponse] * 4
        assert setup.inner.calls == 2  # no stampede
        assert setup.recorder.results == ["miss"] + ["joined"] * 4

    run_virtual(scenario())


def test_a_second_failure_is_everybodys():
    async def scenario():
        setup = Setup(Slow(Overloaded("full"), Overloaded("still full")))
        tasks = [setup.ask()[0] for _ in range(5)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(each) for each in found] == ["full"] + ["still full"] * 4
        assert setup.inner.calls == 2  # no procession
        assert not setup.cache._calls

    run_virtual(scenario())


@pytest.mark.parametrize("hint", [{"queue_timeout": 0.1}, {"priority": 1}])
def test_what_is_more_urgent_does_not_share_the_fate_of_what_is_less(hint):
    async def scenario():
        setup = Setup(Slow(QueueTimeout("its turn did not come")))
        first, _ = setup.ask(context=RequestContext("test", **hint))
        second, _ = setup.ask()
        with pytest.raises(QueueTimeout):
            await first
        await second
        assert setup.recorder.results == ["miss", "miss"]
        assert (await setup.ask(context=RequestContext("test", **hint))[0]) is not None
        assert setup.recorder.results[-1] == "hit"  # an answer is an answer

    run_virtual(scenario())


# measurements


def test_a_call_is_a_part_of_the_trace_of_whoever_began_it_even_when_that_one_has_left():
    async def scenario():
        async def inner(message):
            with child_span(message.context, "attempt"):
                return await slow(message)

        slow = Slow()
        setup, span = Setup(inner), NotedSpan()
        first, one = setup.ask(context=RequestContext("test", span=span, traceparent=span.traceparent))
        second, two = setup.ask()
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.wait([first])
        assert (one.span, two.span) == (span, None)
        await second
        assert [(child.name, child.outcome) for child in span.children] == [("attempt", "ok")]

    run_virtual(scenario())


def test_each_has_measured_what_it_waited_for(monkeypatch):
    async def scenario():
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("gateway.filters.cache.time.perf_counter", loop.time)

        async def inner(message):
            message.context.served_by = "b"
            await asyncio.sleep(10)
            message.context.batch_seconds += 2
            message.context.backend_seconds += 8
            message.context.queue_seconds += 3
            return echo(message)

        setup = Setup(inner)
        first, one = setup.ask()
        await asyncio.sleep(6)
        second, two = setup.ask()
        await asyncio.sleep(1)
        third, three = setup.ask()
        await asyncio.sleep(1)
        third.cancel()
        await asyncio.wait([first, second, third])
        measured = [(each.batch_seconds, each.backend_seconds, each.queue_seconds) for each in (one, two, three)]
        assert measured == [(2, 8, 3), (2, 2, 2), (0, 1, 0)]
        assert {each.served_by for each in (one, two, three)} == {"b"}

    run_virtual(scenario())


def test_a_failure_says_who_was_tried():
    setup = Setup(Slow(BackendError("no")))
    message = asked()
    with pytest.raises(BackendError):
        call(setup.cache, message)
    assert message.context.served_by == "b1"
    assert message.context.backend_seconds > 0


# anything at all


class Chaotic:
    """A backend that takes as long, and fails as, it is told; its answer is twice the input."""

    def __init__(self, plan):
        self.plan, self.turn, self.under_way, self.most = plan, 0, {}, 0

    async def __call__(self, message):
        seconds, failure = self.plan[self.turn % len(self.plan)]
        self.turn += 1
        x = message.inputs[0].to_numpy()
        place = (float(x[0, 0]), message.context.queue_timeout)
        self.under_way[place] = self.under_way.get(place, 0) + 1
        self.most = max(self.most, self.under_way[place])
        try:
            await asyncio.sleep(seconds)
            if failure is not None:
                raise failure(str(place[0]))
            return InferResponse("m", "1", (Tensor.from_numpy("y", 2 * x),))
        finally:
            self.under_way[place] -= 1


FAILURES = st.sampled_from([None, None, None, BackendError, Overloaded, NoHealthyBackend, InvalidRequest])
REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # input
        st.floats(0, 4),  # seconds after the one before
        st.one_of(st.none(), st.floats(0, 6)),  # the client leaves after so many seconds
        st.sampled_from([None, None, 0.5]),  # queue_timeout
        st.booleans(),  # the model is loaded anew just before
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(
    REQUESTS,
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 5.0]), FAILURES), min_size=1, max_size=8),
    st.sampled_from([1, 8 * ENTRY, 10 * ENTRY, 10**6]),
    st.sampled_from([None, 3.0]),
)
def test_whatever_happens_answers_fit_their_requests_and_nothing_is_left(requests, plan, limit, ttl):
    async def scenario():
        backend = Chaotic(plan)
        setup = Setup(backend, limit=limit, ttl=ttl)
        responses, caches, asking = setup.caching.responses, [setup.cache], []
        for number, pause, leaves, queue_timeout, loaded in requests:
            await asyncio.sleep(pause)
            if loaded:
                caches.append(Cache(backend, setup.model, setup.caching))
            message = asked(float(number), context=RequestContext("test", queue_timeout=queue_timeout))
            task = asyncio.create_task(caches[-1](message))
            if leaves is not None:
                asyncio.get_running_loop().call_later(leaves, task.cancel)
            asking.append((number, leaves, task))
            assert responses.nbytes <= limit
        await asyncio.wait([task for *_, task in asking])
        for number, leaves, task in asking:
            if task.cancelled():
                assert leaves is not None  # nobody else's leaving ends a request
            elif task.exception() is not None:
                assert isinstance(task.exception(), GatewayError)
                assert task.exception().message == str(float(number))
            else:
                assert number_of(task.result()) == 2.0 * number
        assert responses.nbytes <= limit
        assert backend.most <= len(caches)  # at most one call for equal requests of one loading
        for _ in range(3):
            await asyncio.sleep(0)  # calls that were given up last
        assert not any(cache._calls for cache in caches)
        assert not any(backend.under_way.values())
        assert len(asyncio.all_tasks()) == 1

    run_virtual(scenario())
