"""A Ray cluster of two nodes on this machine."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from loadtest.distributed import cluster as cluster_module
from loadtest.distributed.cluster import RayWorkers
from loadtest.distributed.subject import SharedSubject, check_shareable
from loadtest.errors import BadSpec, StackError, Unusable
from loadtest.load.loads import ClosedLoop, Constant, MultiStream, Offline, Poisson
from loadtest.load.schedule import due_times
from loadtest.results.block import Columns, unpack

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def address():
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Workers import what the tests import.
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        cluster = Cluster(initialize_head=True, head_node_args=node)
        cluster.add_node(**node)
        yield cluster.address
        cluster.shutdown()


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def workers(address, runner):
    workers = RayWorkers(address)
    runner.run(workers.__aenter__())
    yield workers
    runner.run(workers.__aexit__(None, None, None))


@pytest.fixture
def subject(target, workload, settings, workers, runner):
    subject = SharedSubject(target, workload, settings, workers)
    outputs = runner.run(subject.interview())
    assert subject.problem == ""
    assert len(outputs) == 2
    yield subject
    runner.run(subject.disconnect())


def block_seed(settings, repetition):
    return int(np.random.SeedSequence((settings.seeds.arrivals, repetition)).generate_state(1)[0])


def test_two_nodes_make_one_schedule(workers, subject, runner, settings):
    load = Poisson(rate=150)
    processes = runner.run(workers.call("process"))
    assert len({os.getpid(), *processes}) == 3
    assert len(set(workers.hosts)) == 2
    assert all("(clock " in host and " ms ± " in host for host in workers.hosts)
    block = runner.run(subject.measure(load, repetition=1))
    due = due_times(load, settings.seconds, block_seed(settings, 1))
    assert Columns.of(block).scheduled.tolist() == due.tolist()
    assert block.offered == len(due)
    assert (block.repetition, block.void, block.unfinished) == (1, "", False)


def test_callers_and_requests_are_shared(subject, runner):
    assert runner.run(subject.measure(ClosedLoop(concurrency=3))).health.most_in_flight == 3
    assert len(unpack(runner.run(subject.measure(Offline(requests=51))).payload)) == 51


def test_ray_says_nothing_on_the_terminal(subject, runner, capfd):
    runner.run(subject.warm_up(2))
    assert runner.run(subject.measure(ClosedLoop(concurrency=2))).void == ""
    assert capfd.readouterr() == ("", "")


def test_a_cancelled_block_keeps_what_every_worker_measured(subject, runner, server):
    async def scenario():
        asked = len(server.requests)
        measuring = asyncio.create_task(subject.measure(Constant(rate=100), window=60 * 10**9))
        while len(server.requests) < asked + 180:  # a second of lead-in, and more
            await asyncio.sleep(0.01)
        measuring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await measuring

    runner.run(scenario())
    assert subject.problem == ""
    (block,) = subject.result().blocks
    assert (block.unfinished, block.void) == (True, "")
    assert np.diff(Columns.of(block).scheduled).max() < 15_000_000  # no worker's part is missing: one is due in 10 ms


def test_a_target_that_is_down_is_the_subjects_problem(target, workload, settings, workers, runner, server):
    server.close()
    subject = SharedSubject(target, workload, settings, workers)
    assert runner.run(subject.interview()) == ()
    assert "refused" in subject.problem
    assert "(from " in subject.problem


def test_a_worker_that_dies_voids_the_block_and_ends_the_subject(workers, subject, runner, server):
    """It comes last of those that need the workers."""

    async def scenario():
        processes = await workers.call("process")
        asked = len(server.requests)
        measuring = asyncio.create_task(subject.measure(Constant(rate=100), window=2 * 10**9))
        while len(server.requests) < asked + 40:
            await asyncio.sleep(0.01)
        os.kill(processes[1], signal.SIGKILL)
        return await measuring, await subject.measure(Constant(rate=50))

    block, after = runner.run(scenario())
    host = workers.workers[1].host
    assert block.void == f"the worker on {host} was lost, and its part of the load with it"
    assert len(Columns.of(block).payload) == 100  # the other half was measured to its end
    assert subject.problem == f"the worker on {host} was lost"
    assert after is None
    assert subject.result().blocks == (block,)


def test_leaving_ends_the_workers_processes(workers, runner):
    surviving = runner.run(workers.workers[0].call("process"))
    runner.run(workers.__aexit__(None, None, None))
    deadline = time.monotonic() + 10
    while Path(f"/proc/{surviving}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("load", [MultiStream(streams=8), ClosedLoop(concurrency=1), Offline(requests=1)])
def test_a_load_without_a_part_for_each_worker_is_refused(load):
    with pytest.raises(BadSpec, match=f"load '{load.spec}' .*cannot be shared"):
        check_shareable(load, 2)


def test_loads_with_a_part_for_each_worker_are_shared():
    for load in (ClosedLoop(concurrency=2), Offline(requests=2), Constant(rate=1)):
        check_shareable(load, 2)


def test_an_address_without_a_cluster_is_a_sentence():
    async def scenario():
        async with RayWorkers("127.0.0.1:9"):
            pass

    with pytest.raises(StackError, match=r"--ray '127.0.0.1:9': no Ray cluster answers there"):
        asyncio.run(scenario())


def test_without_ray_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cluster_module, "find_spec", lambda name: None)

    async def scenario():
        async with RayWorkers("auto"):
            pass

    with pytest.raises(Unusable, match=r"install serving-gateway\[ray\]"):
        asyncio.run(scenario())
