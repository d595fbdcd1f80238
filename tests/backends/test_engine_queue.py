"""The queue in front of an engine, on a virtual clock and with threads that the test lets finish by hand."""

import asyncio
import threading

import numpy as np
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from support.manifests import make_signature
from support.services import request
from support.spans import NotedSpan
from support.virtual_time import run_virtual

from gateway.backends.embedded import EmbeddedBackend, EmbeddedModel
from gateway.backends.engine_queue import EngineQueue
from gateway.core.errors import DeadlineExceeded, Overloaded, QueueTimeout, Unavailable
from gateway.core.messages import RequestContext
from gateway.filters.deadline import Deadline


class Pool:
    """Stands in for the thread pool: work begins when it is submitted and ends when the test says so."""

    def __init__(self):
        self.running = []
        self.closed = False

    def submit(self, *call):
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.running.append(call)

    def shutdown(self, *, wait, cancel_futures):
        self.closed = True

    async def finish(self, index=0):
        function, *arguments = self.running.pop(index)
        function(*arguments)
        await settle()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def pool(monkeypatch):
    pool = Pool()
    monkeypatch.setattr("gateway.backends.engine_queue.ThreadPoolExecutor", lambda *_, **__: pool)
    return pool


class Requests:
    """Requests on one queue; ``ran`` holds the names of those that ran, in the order of their ends."""

    def __init__(self, queue):
        self.queue = queue
        self.ran = []
        self.contexts = {}

    async def add(self, name, priority=0, timeout=None):
        context = self.contexts[name] = RequestContext("test", priority=priority, queue_timeout=timeout)
        task = asyncio.create_task(self.queue.run(context, lambda: self.ran.append(name) or name))
        await settle()
        return task


def test_the_most_urgent_goes_first_and_equals_in_order_of_arrival(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        tasks = [
            await requests.add(name, priority)
            for name, priority in [("first", 0), ("a", 0), ("b", 3), ("c", 1), ("d", 0), ("e", 1), ("f", 2**64 - 1)]
        ]
        while pool.running:
            await pool.finish()
        assert requests.ran == ["first", "c", "e", "b", "f", "a", "d"]
        assert await asyncio.gather(*tasks) == ["first", "a", "b", "c", "d", "e", "f"]

    run_virtual(run())


def test_as_many_run_at_once_as_there_are_slots(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=2, capacity=10))
        for name in "abcd":
            await requests.add(name)
        assert len(pool.running) == 2
        await pool.finish(1)
        assert (requests.ran, len(pool.running)) == (["b"], 2)

    run_virtual(run())


def test_one_that_waits_longer_than_it_may_never_runs(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        await requests.add("runs", timeout=0.1)
        late, patient = await requests.add("late", 1, timeout=0.5), await requests.add("patient")
        with pytest.raises(QueueTimeout, match="timeout expired in the queue"):
            await late
        assert asyncio.get_running_loop().time() == pytest.approx(0.5)
        await pool.finish()
        await pool.finish()
        assert await patient == "patient"
        assert requests.ran == ["runs", "patient"]
        waits = [requests.contexts[name].queue_seconds for name in ("runs", "late", "patient")]
        assert waits == pytest.approx([0, 0.5, 0.5])

    run_virtual(run())


def test_a_timeout_that_passed_while_the_loop_was_busy_counts(pool):
    async def run():
        loop = asyncio.get_running_loop()
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        await requests.add("runs")
        late = await requests.add("late", timeout=0.5)
        loop._jumping.now += 1  # a quick engine has run on the loop, and timers could not
        function, *arguments = pool.running.pop()
        function(*arguments)
        with pytest.raises(QueueTimeout):
            await late
        assert requests.ran == ["runs"]

    run_virtual(run())


def test_the_time_to_wait_does_not_limit_the_run(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        await requests.add("first")
        task = await requests.add("second", timeout=0.5)
        await asyncio.sleep(0.4)
        await pool.finish()
        await asyncio.sleep(10)
        await pool.finish()
        assert await task == "second"

    run_virtual(run())


def test_one_that_is_cancelled_while_it_waits_never_runs(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        await requests.add("runs")
        gone, stays = await requests.add("gone"), await requests.add("stays")
        gone.cancel()
        await settle()
        assert gone.cancelled()
        await pool.finish()
        await pool.finish()
        assert (requests.ran, await stays) == (["runs", "stays"], "stays")

    run_virtual(run())


def test_one_that_is_cancelled_as_its_turn_comes_gives_the_turn_on(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        await requests.add("runs")
        gone, stays = await requests.add("gone"), await requests.add("stays")
        function, *arguments = pool.running.pop()
        function(*arguments)
        asyncio.get_running_loop().call_soon(gone.cancel)  # right after the turn was given
        await settle()
        assert gone.cancelled()
        await pool.finish()
        assert (requests.ran, await stays) == (["runs", "stays"], "stays")

    run_virtual(run())


def test_one_that_is_cancelled_while_it_runs_keeps_its_thread_until_the_end(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        running, waiting = await requests.add("running"), await requests.add("waiting")
        running.cancel()
        await settle()
        assert len(pool.running) == 1
        await pool.finish()
        assert len(pool.running) == 1
        await pool.finish()
        assert await waiting == "waiting"

    run_virtual(run())


def test_a_full_queue_refuses_until_somebody_leaves_it(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=2))
        await requests.add("runs")
        gone, late = await requests.add("gone"), await requests.add("late", timeout=0.5)
        with pytest.raises(Overloaded, match="2 requests wait"):
            await (await requests.add("too many", priority=1))
        gone.cancel()
        await settle()
        assert not (await requests.add("next")).done()
        with pytest.raises(QueueTimeout):
            await late
        assert not (await requests.add("another")).done()

    run_virtual(run())


def test_what_work_raises_reaches_its_caller_and_frees_the_thread(pool):
    async def run():
        queue = EngineQueue("e", slots=1, capacity=2)
        failing = asyncio.create_task(queue.run(RequestContext("test"), lambda: 1 // 0))
        await settle()
        waiting = await Requests(queue).add("waiting")
        await pool.finish()
        with pytest.raises(ZeroDivisionError):
            await failing
        await pool.finish()
        assert await waiting == "waiting"

    run_virtual(run())


def test_closing_refuses_those_that_wait_and_those_that_come(pool):
    async def run():
        requests = Requests(EngineQueue("e", slots=1, capacity=10))
        running, waiting = await requests.add("running"), await requests.add("waiting")
        requests.queue.close()
        await pool.finish()
        assert await running == "running"
        for task in (waiting, await requests.add("new")):
            with pytest.raises(Unavailable, match="being closed"):
                await task

    run_virtual(run())


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 3), st.sampled_from([None, 1.0, 2.0])),
    st.tuples(st.sampled_from(["finish", "cancel"]), st.integers(0, 29)),
    st.tuples(st.just("wait")),
)


@given(st.integers(1, 3), st.lists(STEPS, min_size=1, max_size=30))
def test_whatever_happens_no_thread_is_lost_and_the_order_holds(slots, steps):
    async def run():
        requests, tasks, pool = Requests(EngineQueue("e", slots=slots, capacity=1000)), [], Pool()
        requests.queue._pool.shutdown()
        requests.queue._pool = pool
        for number, step in enumerate(steps):
            match step:
                case "add", priority, timeout:
                    tasks.append(await requests.add(number, priority, timeout))
                case "finish", which if pool.running:
                    await pool.finish(which % len(pool.running))
                case "cancel", which if tasks:
                    tasks[which % len(tasks)].cancel()
                    await settle()
                case ("wait",):
                    await asyncio.sleep(1.0)
                    await settle()
            assert len(pool.running) <= slots
            assert not requests.queue._waiting or len(pool.running) == slots
        while pool.running:
            await pool.finish()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (requests.queue._free, requests.queue._waiting) == (slots, {})

    run_virtual(run())


# with an engine and real threads


class Slow:
    """An engine that runs until it is let go."""

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self.seen = []

    def run(self, inputs):
        self.seen.append(float(inputs["x"][0, 0]))
        self.began.release()
        self.go.acquire()
        return {"y": inputs["x"]}


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr("gateway.backends.embedded._time_one_row", lambda *_: 1.0)
    engine = Slow()
    signature = make_signature([("x", "FP32", (-1, 2))], [("y", "FP32", (-1, 2))])
    backend = EmbeddedBackend("e", lambda *_: EmbeddedModel(engine, signature), instances=1, queue_size=3)
    backend.open("m", "")
    yield engine, backend
    for _ in range(20):
        engine.go.release()
    uvloop.run(backend.close())


def numbered(number, **context):
    return request(array=np.full((1, 2), number, np.float32), context=RequestContext("test", **context))


def test_the_engine_sees_the_urgent_ones_first(slow):
    engine, backend = slow

    async def run():
        first = asyncio.create_task(backend(numbered(1)))
        await asyncio.to_thread(engine.began.acquire)
        rest = [asyncio.create_task(backend(numbered(2))), asyncio.create_task(backend(numbered(3, priority=1)))]
        await settle()
        for _ in range(3):
            engine.go.release()
        await asyncio.gather(first, *rest)

    uvloop.run(run())
    assert engine.seen == [1, 3, 2]


def test_a_deadline_that_passes_in_the_queue_keeps_the_request_from_running(slow):
    engine, backend = slow

    async def run():
        first = asyncio.create_task(backend(numbered(1)))
        await asyncio.to_thread(engine.began.acquire)
        waiting = numbered(2, timeout=0.02)
        with pytest.raises(DeadlineExceeded):
            await Deadline(backend, 60)(waiting)
        with pytest.raises(QueueTimeout):
            await backend(numbered(3, queue_timeout=0.02))
        engine.go.release()
        await first
        assert waiting.context.queue_seconds > 0.01

    uvloop.run(run())
    assert engine.seen == [1]


def test_a_full_queue_of_an_engine_is_an_overload(slow):
    engine, backend = slow

    async def run():
        tasks = [asyncio.create_task(backend(numbered(number))) for number in range(4)]
        await settle()
        with pytest.raises(Overloaded, match="backend 'e': 3 requests wait for a free engine already"):
            await backend(numbered(5))
        for _ in range(4):
            engine.go.release()
        await asyncio.gather(*tasks)

    uvloop.run(run())


def test_it_tells_how_many_wait_and_how_long_each_has_waited(pool):
    async def run():
        queue, heard = EngineQueue("e", slots=1, capacity=10), []
        queue.tell_waits(heard.append)
        requests = Requests(queue)
        await requests.add("first")
        last = [await requests.add(name, timeout=timeout) for name, timeout in [("second", None), ("hasty", 1.0)]]
        assert (queue.depth, queue.capacity, heard) == (2, 10, [0.0])
        await asyncio.sleep(2.5)
        assert (queue.depth, heard) == (1, [0.0, 1.0])  # one gave up
        while pool.running:
            await pool.finish()
        await asyncio.wait(last)
        assert (queue.depth, heard) == (0, [0.0, 1.0, 2.5])
        assert isinstance(last[1].exception(), QueueTimeout)

    run_virtual(run())


def test_a_wait_is_a_span_of_its_own_and_a_free_engine_makes_none(pool):
    async def run():
        queue, spans = EngineQueue("e", slots=1, capacity=1), [NotedSpan() for _ in range(3)]
        tasks = []
        for span in spans:
            tasks.append(asyncio.create_task(queue.run(RequestContext("test", span=span), lambda: None)))
            await settle()
        assert [child.outcome for span in spans for child in span.children] == [None, "overloaded"]
        while pool.running:
            await pool.finish()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [[(child.name, child.outcome) for child in span.children] for span in spans] == [
            [],
            [("queue", "ok")],
            [("queue", "overloaded")],
        ]

    run_virtual(run())
