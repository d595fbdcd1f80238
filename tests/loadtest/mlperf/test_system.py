"""A target under LoadGen, over its real client."""

import asyncio
import pickle

import pytest
from support.tiny_workload import tiny_target, tiny_workload

from loadtest.clock import open_clock
from loadtest.errors import Failed
from loadtest.load.loads import Offline
from loadtest.load.seeds import Seeds
from loadtest.mlperf.engine import MlperfRun
from loadtest.mlperf.job import Job
from loadtest.mlperf.scenario import LoadGenSettings
from loadtest.mlperf.system import TargetSystem
from loadtest.results.block import Columns, failure_counts


def system(server, workload=None):
    return TargetSystem(tiny_target(server.http), workload or tiny_workload(), connections=2, timeout=5.0, seed=1)


def opened(system):
    async def scenario():
        with open_clock() as clock:
            found = await system(clock)
            await found.client.close()
            return found

    return asyncio.run(scenario())


def test_loadgen_drives_a_target_and_its_answers_are_compared(server, tmp_path):
    pytest.importorskip("mlperf_loadgen")
    settings = LoadGenSettings(Offline(requests=150), 1.0, Seeds(1, 2, 3), latency_limit=1.0, most_in_flight=4)
    outcome = asyncio.run(MlperfRun(Job(system(server), settings, tmp_path)).run())
    assert outcome.summary.valid
    assert outcome.invalid == ()
    assert set(Columns.of(outcome.block).payload.tolist()) == {0, 1}
    assert outcome.block.offered == 150
    assert 0 < outcome.block.compared <= 150
    assert failure_counts([outcome.block]) == {}


def test_payloads_of_equal_weight_are_in_the_library_once(server):
    assert opened(system(server)).library == (0, 1)


def test_weights_are_shares_of_the_library(server):
    library = opened(system(server, tiny_workload(weights=(1.0, 3.0)))).library
    assert library.count(1) / len(library) == pytest.approx(0.75, abs=0.01)


def test_it_travels_to_another_process(server):
    assert opened(pickle.loads(pickle.dumps(system(server)))).library == (0, 1)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("unavailable", "onnxruntime direct: HTTP 503"), ("garbage", "onnxruntime direct: wrong answer: ")],
)
def test_a_target_that_does_not_answer_as_its_model_would_is_a_sentence(server, mode, reason):
    server.mode = mode
    with pytest.raises(Failed, match=reason):
        opened(system(server))


def test_a_target_that_is_down_is_a_sentence(server):
    server.close()
    with pytest.raises(Failed, match=r"onnxruntime direct: .*refused"):
        opened(system(server))
