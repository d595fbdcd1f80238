"""LoadGen for real, in its process, against a system in memory."""

import asyncio
import multiprocessing

import numpy as np
import pytest
from support.memory_system import MemorySystem

from loadtest.errors import BadSpec, Failed, ResultsError, Unusable
from loadtest.load.loads import ClosedLoop, Constant, MultiStream, Offline, Poisson
from loadtest.load.seeds import Seeds
from loadtest.mlperf import engine
from loadtest.mlperf.due import TRACE
from loadtest.mlperf.engine import MlperfRun
from loadtest.mlperf.job import Job
from loadtest.mlperf.scenario import LoadGenSettings
from loadtest.mlperf.summary import DETAIL_LOG
from loadtest.results.block import Columns, failure_counts

pytest.importorskip("mlperf_loadgen")

SINGLE_STREAM = ClosedLoop(concurrency=1, mlperf="single-stream")
SERVER = Poisson(rate=400, mlperf="server")
LOGS = (DETAIL_LOG, "mlperf_log_summary.txt")


def job(load, directory, system=MemorySystem(), *, seconds=0.3, bound=256, seeds=Seeds(1, 2, 3)):
    settings = LoadGenSettings(load, seconds, seeds, latency_limit=1.0, most_in_flight=bound)
    return Job(system, settings, directory, repetition=4)


def measure(*given, **options):
    return asyncio.run(MlperfRun(job(*given, **options)).run())


@pytest.mark.parametrize(
    ("load", "scenario"),
    [
        (SINGLE_STREAM, "SingleStream"),
        (MultiStream(streams=4), "MultiStream"),
        (SERVER, "Server"),
        (Offline(requests=700), "Offline"),
    ],
)
def test_loadgen_and_the_block_saw_the_same_requests(tmp_path, load, scenario):
    outcome = measure(load, tmp_path)
    block, summary = outcome.block, outcome.summary
    columns = Columns.of(block)
    assert summary.scenario == scenario
    assert (block.load, block.repetition, block.void, block.unfinished) == (load.spec, 4, "", False)
    requests = {"MultiStream": 4 * summary.queries, "Offline": 700}.get(scenario, summary.queries)
    assert len(columns.payload) == block.offered == requests
    assert failure_counts([block]) == {}
    assert (columns.send_lag >= 0).all()
    assert (columns.response_time >= columns.first_byte).all()
    assert all((tmp_path / name).stat().st_size for name in LOGS)
    # LoadGen's clock starts no later and stops no earlier than ours, so its times are never the smaller ones.
    assert summary.minimum >= columns.response_time.min() / 1e9
    assert summary.percentiles[0.5] >= np.quantile(columns.response_time, 0.5, method="lower") / 1e9
    assert block.window_seconds >= (columns.scheduled + columns.response_time).max() / 1e9 - 1e-9


def test_requests_of_server_are_due_when_loadgen_says_and_not_when_it_hands_them_over(tmp_path):
    outcome = measure(SERVER, tmp_path, MemorySystem(library=(0, 3)), seconds=1.0)
    columns = Columns.of(outcome.block)
    again = Columns.of(measure(SERVER, tmp_path, MemorySystem(seconds=0.02), seconds=1.0).block)
    # Handed over, they would be scheduled anew each time; due, they are what the seed says, but for LoadGen's rounding.
    assert np.abs(columns.scheduled - again.scheduled).max() <= 2
    assert columns.send_lag.min() > 0
    assert not (tmp_path / TRACE).exists()


def test_a_query_of_multi_stream_is_due_at_once(tmp_path):
    columns = Columns.of(measure(MultiStream(streams=4), tmp_path).block)
    assert (np.unique(columns.scheduled, return_counts=True)[1] == 4).all()


def test_offline_is_due_at_once_and_keeps_the_bound(tmp_path):
    block = measure(Offline(requests=700), tmp_path, bound=32).block
    assert set(Columns.of(block).scheduled.tolist()) == {0}
    assert block.health.most_in_flight == 32


def test_the_seeds_fix_the_schedule_and_the_payloads_apart(tmp_path):
    system = MemorySystem(library=(0, 3, 4, 5, 6))
    blocks = [
        measure(SERVER, tmp_path, system, seeds=seeds).block
        for seeds in (Seeds(1, 2, 3), Seeds(1, 2, 3), Seeds(1, 9, 3), Seeds(9, 2, 3))
    ]
    drawn = [Columns.of(block).payload.tolist()[:50] for block in blocks]
    first, again, other_samples, other_arrivals = drawn
    assert first == again == other_arrivals != other_samples
    assert set(first) == {0, 3, 4, 5, 6}
    assert [block.offered for block in blocks][:3] == [blocks[0].offered] * 3
    assert blocks[3].offered != blocks[0].offered


def test_failed_and_wrong_answers_are_counted_and_make_it_invalid(tmp_path):
    outcome = measure(SERVER, tmp_path, MemorySystem(library=(0, 1, 2)))
    counts = failure_counts([outcome.block])
    assert set(counts) == {"HTTP 503", "wrong answer"}
    assert len(Columns.of(outcome.block).payload) + sum(counts.values()) == outcome.summary.queries
    assert outcome.block.details["HTTP 503"] == "busy"
    assert f"{counts['HTTP 503']} × HTTP 503" in outcome.invalid[-1]
    assert "failed requests, which LoadGen takes for answers" in outcome.invalid[-1]


def test_a_server_that_only_fails_is_not_asked_in_a_spin(tmp_path):
    block = measure(SINGLE_STREAM, tmp_path, MemorySystem(library=(1,))).block
    assert len(Columns.of(block).payload) == 0
    assert 0 < failure_counts([block])["HTTP 503"] <= 30  # at most one in 10 ms


def test_the_in_flight_bound_voids_the_block(tmp_path):
    outcome = measure(SERVER, tmp_path, MemorySystem(seconds=0.1), bound=5)
    assert outcome.block.void.startswith("cannot keep up: ")
    assert outcome.block.health.most_in_flight == 6
    assert outcome.invalid


def cancelled(job, asked):
    """What is left of a test that is cancelled once its system was asked."""

    async def scenario():
        run = MlperfRun(job)
        running = asyncio.create_task(run.run())
        while not asked.exists():
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return run.outcome

    return asyncio.run(scenario())


def test_a_cancelled_test_keeps_what_it_measured_and_leaves_no_process(tmp_path):
    asked = tmp_path / "asked"
    outcome = cancelled(job(SERVER, tmp_path, MemorySystem(asked=asked), seconds=60), asked)
    assert outcome.block.unfinished
    assert outcome.block.offered > 0
    assert outcome.summary is None
    assert not multiprocessing.active_children()


def test_a_server_that_never_answers_cannot_hold_up_a_cancellation(tmp_path):
    asked = tmp_path / "asked"
    outcome = cancelled(job(SERVER, tmp_path, MemorySystem(seconds=None, asked=asked), seconds=60), asked)
    assert (outcome.block.offered > 0, len(Columns.of(outcome.block).payload)) == (True, 0)


def test_a_target_that_cannot_be_measured_is_a_sentence(tmp_path):
    with pytest.raises(Failed, match=r"^tiny: Connection refused$"):
        measure(SERVER, tmp_path, MemorySystem(problem="tiny: Connection refused"))


def test_a_process_that_dies_is_a_sentence(tmp_path):
    with pytest.raises(Failed, match="LoadGen's process ended by itself"):
        measure(SERVER, tmp_path, MemorySystem(dies=True))


def test_another_load_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(BadSpec, match="constant:5"):
        measure(Constant(rate=5), tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_an_unwritable_directory_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match=r"cannot write .*file/logs: Not a directory"):
        measure(SERVER, tmp_path / "file" / "logs")


def test_without_the_package_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(Unusable, match=r"install serving-gateway\[mlperf\]"):
        measure(SERVER, tmp_path)
