import pytest

from loadtest.errors import BadSpec
from loadtest.load.loads import ClosedLoop, Constant, MultiStream, Offline, Poisson
from loadtest.load.seeds import Seeds
from loadtest.mlperf.scenario import LoadGenSettings, log_settings, scenario_of

loadgen = pytest.importorskip("mlperf_loadgen")

SINGLE_STREAM = ClosedLoop(concurrency=1, mlperf="single-stream")
SERVER = Poisson(rate=250.5, mlperf="server")


def settings_for(load):
    settings = LoadGenSettings(load, 2.5, Seeds(11, 12, 13), latency_limit=0.05, most_in_flight=64)
    return settings.test_settings(loadgen, expected_latency=3_000_000)


@pytest.mark.parametrize(
    ("load", "scenario"),
    [
        (SINGLE_STREAM, "SingleStream"),
        (MultiStream(streams=8), "MultiStream"),
        (SERVER, "Server"),
        (Offline(requests=10), "Offline"),
    ],
)
def test_mlperfs_loads_are_loadgens_scenarios(load, scenario):
    assert scenario_of(load) == scenario
    assert settings_for(load).scenario == getattr(loadgen.TestScenario, scenario)


@pytest.mark.parametrize(
    "load",
    [
        ClosedLoop(concurrency=1),
        ClosedLoop(concurrency=2, mlperf="single-stream"),
        Poisson(rate=5),
        Constant(rate=5),
    ],
)
def test_a_load_that_loadgen_does_not_know_is_refused_by_its_spec(load):
    with pytest.raises(BadSpec, match=f"load '{load.spec}': MLPerf LoadGen knows only single-stream, "):
        scenario_of(load)


def test_each_seed_is_one_of_loadgens():
    settings = settings_for(SERVER)
    assert settings.schedule_rng_seed == 11
    assert settings.sample_index_rng_seed == 12
    assert settings.qsl_rng_seed == 13


def test_time_ends_a_test_and_not_the_number_of_queries():
    settings = settings_for(SINGLE_STREAM)
    assert (settings.min_duration_ms, settings.min_query_count) == (2500, 1)


def test_server_has_its_rate_its_latency_limit_and_its_bound():
    settings = settings_for(SERVER)
    assert settings.server_target_qps == 250.5
    assert settings.server_target_latency_ns == 50_000_000
    assert settings.server_max_async_queries == 64


def test_multi_stream_has_its_width():
    assert settings_for(MultiStream(streams=5)).multi_stream_samples_per_query == 5


def test_closed_loops_have_queries_enough_for_a_server_that_is_faster_than_expected():
    assert settings_for(SINGLE_STREAM).single_stream_expected_latency_ns == 1_500_000
    assert settings_for(MultiStream(streams=5)).multi_stream_expected_latency_ns == 1_500_000


def test_offline_is_exactly_its_number_of_requests():
    settings = settings_for(Offline(requests=123))
    assert (settings.min_query_count, settings.min_duration_ms) == (123, 0)
    assert settings.offline_expected_qps < 1e-6


@pytest.mark.parametrize("trace", [False, True])
def test_logs_go_to_their_directory_and_not_to_the_terminal(tmp_path, trace):
    settings = log_settings(loadgen, tmp_path, trace=trace)
    assert settings.log_output.outdir == str(tmp_path)
    assert not settings.log_output.copy_summary_to_stdout
    assert not settings.log_output.copy_detail_to_stdout
    assert settings.enable_trace is trace
