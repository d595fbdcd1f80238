"""Which LoadGen scenario a load is, and LoadGen's settings for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from loadtest.clock import NS
from loadtest.errors import BadSpec
from loadtest.load.loads import AnyLoad, ClosedLoop, MultiStream, Offline, Poisson
from loadtest.load.seeds import Seeds

Scenario = Literal["SingleStream", "MultiStream", "Server", "Offline"]

_MILLISECONDS = 1000
# LoadGen makes seconds ÷ latency queries of a closed loop beforehand; a server that is faster than that uses them up.
_FASTER = 0.5
# Offline has no duration of its own: with next to no rate expected, LoadGen sends its least number of samples.
_NO_RATE = 1e-9


def scenario_of(load: AnyLoad) -> Scenario:
    """The scenario that ``load`` is.

    Raises:
        BadSpec: LoadGen has none like it.
    """
    match load:
        case ClosedLoop(mlperf=name, concurrency=1) if name:
            return "SingleStream"
        case MultiStream():
            return "MultiStream"
        case Poisson(mlperf=name) if name:
            return "Server"
        case Offline():
            return "Offline"
    raise BadSpec(
        f"load {load.spec!r}: MLPerf LoadGen knows only single-stream, multi-stream:N, server:RATE and offline:N"
    )


@dataclass(slots=True, frozen=True)
class LoadGenSettings:
    """How LoadGen is to test.

    Attributes:
        seconds: least duration; Offline ends with its last answer instead.
        latency_limit: seconds that 99 % of the Server scenario's responses must keep for LoadGen to call it valid.
        most_in_flight: with more unanswered requests Server ends early; Offline sends no more than that at a time.
    """

    load: AnyLoad
    seconds: float
    seeds: Seeds
    latency_limit: float
    most_in_flight: int

    def test_settings(self, loadgen: Any, expected_latency: int) -> Any:
        """``mlperf_loadgen.TestSettings``; closed loops are expected to take ``expected_latency`` ns a query."""
        settings = loadgen.TestSettings()
        settings.scenario = getattr(loadgen.TestScenario, scenario_of(self.load))
        settings.mode = loadgen.TestMode.PerformanceOnly
        settings.min_duration_ms = round(self.seconds * _MILLISECONDS)
        settings.min_query_count = 1  # time ends a test; too few queries are what LoadGen's early stopping is for
        settings.qsl_rng_seed = self.seeds.payloads
        settings.sample_index_rng_seed = self.seeds.samples
        settings.schedule_rng_seed = self.seeds.arrivals
        settings.single_stream_expected_latency_ns = settings.multi_stream_expected_latency_ns = max(
            round(expected_latency * _FASTER), 1
        )
        match self.load:
            case MultiStream(streams=streams):
                settings.multi_stream_samples_per_query = streams
            case Poisson(rate=rate):
                settings.server_target_qps = rate
                settings.server_target_latency_ns = round(self.latency_limit * NS)
                settings.server_max_async_queries = self.most_in_flight
            case Offline(requests=requests):
                settings.min_duration_ms = 0
                settings.min_query_count = requests
                settings.offline_expected_qps = _NO_RATE
        return settings


def log_settings(loadgen: Any, directory: Path, *, trace: bool) -> Any:
    """``mlperf_loadgen.LogSettings``: logs in ``directory``, with or without a ``trace``, nothing on the terminal."""
    output = loadgen.LogOutputSettings()
    output.outdir = str(directory)
    output.copy_summary_to_stdout = False
    settings = loadgen.LogSettings()
    settings.log_output = output
    settings.enable_trace = trace
    return settings
