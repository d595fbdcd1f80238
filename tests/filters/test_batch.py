"""Batching on a virtual clock, before a backend whose calls take as long as the test says."""

import asyncio
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.services import echo, request
from support.spans import NotedSpan
from support.virtual_time import run_virtual

from gateway.core.capabilities import EVERYTHING
from gateway.core.errors import BackendError, ConnectFailed, Overloaded, PayloadTooLarge, QueueTimeout, Unsupported
from gateway.core.messages import RequestContext
from gateway.core.padding import Padding
from gateway.filters.batch import Batch, BatchLimits


class Server:
    """Answers with what it gets, ``seconds`` after; fails on a row that is in ``poison``, and as ``failing`` says."""

    name = "b"
    capabilities = EVERYTHING

    def __init__(self, seconds=1.0):
        self.seconds = seconds
        self.calls = []
        self.cancelled = 0
        self.poison = set()
        self.failing = None

    async def __call__(self, request):
        rows = [row[0] for row in request.inputs[0].to_numpy()]
        self.calls.append(rows)
        try:
            await asyncio.sleep(self.seconds() if callable(self.seconds) else self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        request.context.backend_seconds += 0.25
        if self.failing is not None:
            raise self.failing
        if self.poison.intersection(rows):
            raise BackendError("poisoned")
        return echo(request)


class Recorder:
    def __init__(self):
        self.sent, self.waits = [], []

    def batch_sent(self, rows):
        self.sent.append(rows)

    def lane_waited(self, seconds):
        self.waits.append(seconds)


def batch(server, *, rows=64, nbytes=10**6, queue=1000, lanes=(1, 1), recorder=None, padding=None):
    least, most = lanes
    limits = BatchLimits(rows=rows, nbytes=nbytes, queue=queue, least_lanes=least, most_lanes=most)
    clock = asyncio.get_running_loop().time
    filtered = Batch(server, server, limits, recorder or Recorder(), padding=padding, clock=clock)
    filtered._size.limit = filtered._size.proven = lambda now: rows  # the sizes have tests of their own
    return filtered


def tagged(number, rows=1, **context):
    array = np.full((rows, 2), number, np.float32)
    return request(array=array, context=RequestContext("test", **context), id=str(number))


async def sent(service, *requests):
    """Tasks that wait for the answers, once all requests have arrived."""
    tasks = [asyncio.create_task(service(each)) for each in requests]
    await asyncio.sleep(0.01)
    return tasks


def values(response):
    return response.outputs[0].to_numpy()[:, 0].tolist()


def test_a_request_on_its_own_goes_at_once_as_it_is():
    async def run():
        server, recorder = Server(), Recorder()
        service, seen = batch(server, recorder=recorder), []
        service.inner = lambda asked: (seen.append(asked), server(asked))[1]
        asked = tagged(7)
        assert values(await service(asked)) == [7]
        assert len(seen) == 1
        assert seen[0] is asked
        assert (recorder.sent, recorder.waits) == ([1], [0.0])
        assert asked.context.batch_seconds == 0

    run_virtual(run())


def test_rows_of_several_lengths_go_together_where_the_model_allows_it():
    def long(length):
        return request(array=np.full((1, length), length, np.float32), context=RequestContext("test"))

    async def run(padding):
        server = Server()
        tasks = await sent(batch(server, padding=padding), long(1), long(97), long(128), long(129))
        assert [values(await task) for task in tasks] == [[1], [97], [128], [129]]
        return server.calls

    assert run_virtual(run(Padding({"x": 0}))) == [[1], [97, 128], [129]]
    assert run_virtual(run(None)) == [[1], [97], [128], [129]]


def test_what_finds_the_lane_busy_goes_together():
    async def run():
        server, recorder = Server(), Recorder()
        tasks = await sent(batch(server, recorder=recorder), tagged(1), tagged(2, rows=2), tagged(3))
        assert [values(await task) for task in tasks] == [[1], [2, 2], [3]]
        assert server.calls == [[1], [2, 2, 3]]
        assert recorder.sent == [1, 3]

    run_virtual(run())


def test_a_free_lane_is_used():
    async def run():
        server = Server()
        service = batch(server, lanes=(3, 3))
        tasks = [*await sent(service, tagged(1)), *await sent(service, tagged(2)), *await sent(service, tagged(3))]
        assert server.calls == [[1], [2], [3]]
        tasks += await sent(service, tagged(4))
        assert len(server.calls) == 3
        await asyncio.gather(*tasks)

    run_virtual(run())


def test_each_context_has_its_own_measurements():
    async def run():
        requests = [tagged(number) for number in range(3)]
        await asyncio.gather(*await sent(batch(Server(1.0)), *requests))
        assert [each.context.backend_seconds for each in requests] == [0.25] * 3
        assert [each.context.batch_seconds for each in requests] == pytest.approx([0, 1.0, 1.0])

    run_virtual(run())


def test_limits_of_rows_and_bytes():
    async def run():
        server = Server()
        await asyncio.gather(*await sent(batch(server, rows=3), *map(tagged, range(6))))
        assert server.calls == [[0], [1, 2, 3], [4, 5]]
        server = Server()
        await asyncio.gather(*await sent(batch(server, nbytes=16), *map(tagged, range(6))))
        assert server.calls == [[0], [1, 2], [3, 4], [5]]

    run_virtual(run())


def test_what_the_backend_takes_bounds_a_batch_too():
    async def run():
        server = Server()
        server.capabilities = type(EVERYTHING)(request_bytes=16)
        await asyncio.gather(*await sent(batch(server), *map(tagged, range(4))))
        assert server.calls == [[0], [1, 2], [3]]

    run_virtual(run())


def test_the_urgent_go_first_and_what_is_not_alike_goes_apart():
    async def run():
        server = Server()
        other = request(array=np.full((1, 3), 9, np.float32))
        await asyncio.gather(*await sent(batch(server, rows=2), tagged(0), tagged(1), other, tagged(2, priority=1)))
        assert server.calls == [[0], [2, 1], [9]]

    run_virtual(run())


def test_a_full_queue_refuses():
    async def run():
        service = batch(Server(), queue=2)
        tasks = await sent(service, *map(tagged, range(3)))
        with pytest.raises(Overloaded, match="2 requests for model 'm' wait already"):
            await service(tagged(4))
        await asyncio.gather(*tasks)

    run_virtual(run())


def test_a_request_waits_no_longer_than_its_client_wants():
    async def run():
        server = Server(1.0)
        tasks = await sent(batch(server), tagged(0), tagged(1, queue_timeout=0.5), tagged(2, queue_timeout=2.0))
        with pytest.raises(QueueTimeout):
            await tasks[1]
        assert values(await tasks[2]) == [2]
        assert server.calls == [[0], [2]]

    run_virtual(run())


def test_who_leaves_while_waiting_is_not_sent():
    async def run():
        server = Server()
        tasks = await sent(batch(server), *map(tagged, range(4)))
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert server.calls == [[0], [1, 3]]

    run_virtual(run())


def test_a_batch_is_given_up_when_nobody_waits_for_it_any_more():
    async def run():
        server = Server()
        service = batch(server)
        tasks = await sent(service, *map(tagged, range(3)))
        await tasks[0]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.sleep(0.1)
        assert server.cancelled == 0
        tasks[2].cancel()
        await asyncio.sleep(0.1)
        assert server.cancelled == 1
        assert values(await service(tagged(5))) == [5]  # the lane is free again

    run_virtual(run())


def test_one_that_cannot_be_answered_does_not_fail_its_neighbours():
    async def run():
        server = Server()
        server.poison = {2}
        tasks = await sent(batch(server, lanes=(2, 2)), *map(tagged, range(5)))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [values(each) for index, each in enumerate(results) if index != 2] == [[0], [1], [3], [4]]
        assert isinstance(results[2], BackendError)

    run_virtual(run())


def test_its_appetite_is_what_fills_its_lanes_and_one_more_batch():
    async def run():
        service = batch(Server(), lanes=(3, 3))
        service._size.proven, service._size.limit = lambda _: 4, lambda _: 8
        assert service.appetite == 3 * 4 + 8

    run_virtual(run())


@pytest.mark.parametrize(("sizes", "learned"), [([2, 2, 2], [2]), ([4, 4, 1], []), ([1, 1, 4], [])])
def test_sizes_are_compared_only_where_all_lanes_carry_about_as_much(sizes, learned):
    async def run():
        service, noted = batch(Server(), lanes=(3, 3)), []
        service._size.answered = lambda rows, seconds, now: noted.append(rows)
        tasks = []
        for number, rows in enumerate(sizes):
            tasks += await sent(service, tagged(number, rows))
        await asyncio.gather(*tasks)
        assert noted == learned  # the last one filled the lanes

    run_virtual(run())


@pytest.mark.parametrize("refusal", [BackendError("no"), PayloadTooLarge("over 4 MiB"), Unsupported("not so many")])
def test_a_batch_that_is_too_much_for_the_server_goes_one_by_one_and_the_next_ones_are_smaller(refusal):
    async def run():
        server = Server()
        service = batch(server)
        del service._size.limit  # as it is

        async def strict(asked):
            if asked.inputs[0].shape[0] > 4:
                raise refusal
            return await server(asked)

        service.inner = strict
        for now in range(40):  # singles are slow, so that batches grow
            service._size.answered(1 << now % 4, 1.0, 0.0)
        tasks = await sent(service, *map(tagged, range(9)))
        assert [values(await task) for task in tasks] == [[number] for number in range(9)]
        assert service._size.limit(service._clock()) == 4
        tasks = await sent(service, *map(tagged, range(9)))
        assert [values(await task) for task in tasks] == [[number] for number in range(9)]
        assert max(map(len, server.calls)) == 4

    run_virtual(run())


def test_an_unreachable_backend_is_told_to_each_of_them():
    async def run():
        server = Server()
        tasks = await sent(batch(server), *map(tagged, range(4)))
        server.failing = ConnectFailed("gone")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectFailed] * 4
        assert len(set(map(id, results[1:]))) == 3  # each has its own, with its own traceback
        assert len(server.calls) == 2

    run_virtual(run())


def test_an_unforeseen_error_frees_the_lane():
    async def run():
        server = Server()
        service = batch(server)
        tasks = await sent(service, *map(tagged, range(3)))
        server.failing = ZeroDivisionError()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ZeroDivisionError] * 3
        server.failing = None
        assert values(await service(tagged(5))) == [5]

    run_virtual(run())


def test_a_batch_is_as_urgent_as_the_most_urgent_and_lasts_as_long_as_the_last():
    async def run():
        service, seen = batch(Server()), []
        inner = service.inner
        service.inner = lambda asked: (seen.append(asked.context), inner(asked))[1]
        requests = [tagged(0), tagged(1, deadline=9.0, priority=3), tagged(2, deadline=5.0)]
        await asyncio.gather(*await sent(service, *requests))
        first, together = seen
        assert first is requests[0].context
        assert (together.deadline, together.priority) == (9.0, 3)
        assert together not in [each.context for each in requests]

    run_virtual(run())


def test_waiting_is_a_span_and_the_call_is_part_of_the_first_one():
    async def run():
        service, seen = batch(Server()), []
        inner = service.inner
        service.inner = lambda asked: (seen.append(asked.context.span), inner(asked))[1]
        spans = [None, NotedSpan(), NotedSpan()]
        await asyncio.gather(*await sent(service, *(tagged(index, span=span) for index, span in enumerate(spans))))
        assert [[child.name for child in span.children] for span in spans[1:]] == [["batch"], ["batch"]]
        assert all(child.outcome == "ok" for span in spans[1:] for child in span.children)
        assert seen[1] is spans[1].children[0]

    run_virtual(run())


def test_a_request_whose_turn_comes_as_it_is_cancelled_gives_its_lane_back():
    async def run():
        server, recorder = Server(), Recorder()
        service = batch(server, recorder=recorder)
        tasks = await sent(service, tagged(0), tagged(1))
        # Its turn comes in this very step, and it hears of the cancellation first.
        recorder.lane_waited = lambda _: asyncio.get_running_loop().call_soon(tasks[1].cancel)
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert server.calls == [[0]]
        recorder.lane_waited = lambda _: None
        assert values(await service(tagged(2))) == [2]
        assert service._busy == 0

    run_virtual(run())


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 70))
def test_answers_never_cross_and_no_lane_is_lost(seed, lanes, rows):
    """Thousands of tagged requests with cancellations, deadlines, poison, and a backend that fails at times."""
    chance = random.Random(seed)

    async def client(service, number, poison):
        await asyncio.sleep(chance.uniform(0, 2.0))
        size = chance.choice([1, 1, 1, 2, 5])
        width = chance.choice([2, 2, 3])
        array = np.full((size, width), number, np.float32)
        asked = request(array=array, context=RequestContext("test", priority=chance.choice([0, 0, 1, 2])))
        try:
            async with asyncio.timeout(chance.choice([60, 60, 60, 0.05, 0.3])):
                response = await service(asked)
        except (TimeoutError, ConnectFailed):
            return
        except BackendError:
            assert number in poison
            return
        output = response.outputs[0]
        assert number not in poison
        assert output.shape == (size, width)
        assert set(output.to_numpy().ravel().tolist()) == {number}

    async def run():
        server = Server(lambda: chance.expovariate(50))
        server.poison = {float(number) for number in range(300) if chance.random() < 0.02}
        service = batch(server, rows=rows, lanes=(lanes, lanes))

        async def disturb():
            while True:
                await asyncio.sleep(chance.uniform(0, 0.3))
                server.failing = chance.choice([None, None, ConnectFailed("gone")])

        disturbing = asyncio.create_task(disturb())
        clients = [asyncio.create_task(client(service, float(number), server.poison)) for number in range(300)]
        await asyncio.gather(*clients)
        disturbing.cancel()
        assert (service.depth, service._busy, service._calls) == (0, 0, set())

    run_virtual(run())
