"""Workers in this process, without Ray: what each measures of one load."""

import inspect
import threading
import time

import pytest

from loadtest.distributed.measurer import Order
from loadtest.distributed.merge import merge_blocks
from loadtest.distributed.worker import Worker
from loadtest.load.loads import ClosedLoop, Constant, Poisson
from loadtest.measure.share import WHOLE, Share
from loadtest.payloads.workload import Workload
from loadtest.results.block import unpack


@pytest.fixture
def new_worker():
    """Makes workers; they are closed after the test."""
    workers = []

    def made(share):
        workers.append(Worker(share))
        return workers[-1]

    yield made
    for worker in workers:
        worker.close()


@pytest.fixture
def measure(target, workload, settings, new_worker):
    """Measures a load with a worker of the given share; gives its part."""

    def measured(load, share, start=0):
        worker = new_worker(share)
        assert worker.prepare(target, workload, settings, 0)[1] == ""
        return worker.measure((target.name, 0), Order(load, 3, 0, start or time.time_ns()))

    return measured


def requests(block):
    """Due time and payload of every answered request, in order."""
    return sorted(zip(unpack(block.scheduled).tolist(), unpack(block.payload).tolist(), strict=True))


@pytest.mark.parametrize("load", [Poisson(rate=150), Constant(rate=100)])
def test_the_shares_together_are_the_schedule_of_one_machine_exactly(measure, load):
    whole = measure(load, WHOLE).block
    parts = [measure(load, Share(index, 3)).block for index in range(3)]
    assert len({len(requests(part)) for part in parts} - {0}) >= 1
    assert all(len(requests(part)) < len(requests(whole)) / 2 for part in parts)
    assert requests(merge_blocks(parts)) == requests(whole)
    assert merge_blocks(parts).offered == whole.offered


def test_callers_are_shared(measure):
    parts = [measure(ClosedLoop(concurrency=3), Share(index, 2)).block for index in range(2)]
    assert [part.health.most_in_flight for part in parts] == [2, 1]


def test_a_worker_waits_for_the_agreed_moment(measure):
    start = time.time_ns() + 300_000_000
    part = measure(Poisson(rate=50), WHOLE, start)
    assert time.time_ns() >= start + 500_000_000
    assert part.late == 0


def test_a_worker_that_hears_of_it_afterwards_says_how_late_it_was(measure):
    assert measure(Poisson(rate=50), WHOLE, time.time_ns() - 10**9).late >= 10**9


def test_a_stopped_measurement_gives_what_there_is(target, workload, settings, server, new_worker):
    worker = new_worker(WHOLE)
    worker.prepare(target, workload, settings, 0)
    parts = []
    order = Order(Poisson(rate=100), 0, 0, time.time_ns(), window=60 * 10**9)
    measuring = threading.Thread(target=lambda: parts.append(worker.measure((target.name, 0), order)))
    measuring.start()
    asked = len(server.requests)
    # The lead-in of a long window is a second of requests at this rate.
    while len(server.requests) < asked + 150:
        time.sleep(0.01)
    worker.stop()
    measuring.join(timeout=5)
    assert parts[0].block.unfinished
    assert parts[0].problem == ""


def test_no_method_is_a_coroutine_or_ray_would_not_let_stop_through():
    assert not [name for name, member in vars(Worker).items() if inspect.iscoroutinefunction(member)]


def test_stopping_what_does_not_measure_does_nothing(new_worker):
    worker = new_worker(WHOLE)
    worker.stop()
    assert worker.now() > 0


def test_a_target_that_is_down_is_the_subjects_problem(target, workload, settings, server, new_worker):
    server.close()
    worker = new_worker(WHOLE)
    answers, problem = worker.prepare(target, workload, settings, 0)
    assert answers == ()
    assert "refused" in problem


def test_a_load_that_cannot_be_made_is_the_subjects_problem(measure):
    part = measure(Poisson(rate=1e12), WHOLE)
    assert part.block is None
    assert "at most 100,000,000 are possible" in part.problem


def test_one_target_may_be_sent_several_workloads(target, workload, settings, new_worker):
    worker = new_worker(WHOLE)
    for first_payload, sent in ((0, workload), (2, Workload(workload.payloads[:1]))):
        worker.prepare(target, sent, settings, first_payload)
    blocks = [
        worker.measure((target.name, first), Order(Constant(rate=100), 0, 0, time.time_ns())).block for first in (0, 2)
    ]
    assert [set(unpack(block.payload).tolist()) for block in blocks] == [{0, 1}, {0}]
