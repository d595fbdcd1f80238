from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from loadtest.load.loads import AnyLoad, ClosedLoop, MultiStream, Poisson, Ramp
from loadtest.measure.rates import block_rate, throughput
from loadtest.measure.summarise import summarise
from loadtest.measure.summary import Row
from loadtest.results.block import Block, ServerTimes, pack
from loadtest.results.report import PayloadEntry, Report, TargetResult

Make = Callable[..., Block]
ALONE = ClosedLoop(concurrency=1)


def row_of(report: Report, blocks: list[Block], load: AnyLoad = ALONE, **fields: Any) -> Row:
    target = TargetResult(
        name="b", backend="b", server="", via="direct", protocol="HTTP", wire="oip", blocks=tuple(blocks), **fields
    )
    (row,) = summarise(msgspec.structs.replace(report, targets=(target,), loads=(load,)), load)
    return row


def noisy(count: int, middle: float = 1.0, seed: int = 1) -> list[float]:
    return (middle * (1 + 0.1 * np.random.default_rng(seed).random(count))).tolist()


def test_samples_are_merged_and_never_percentiles(report: Report, block: Make) -> None:
    row = row_of(report, [block("closed:1", 0, [1.0] * 100), block("closed:1", 1, [9.0] * 10)])
    assert row.response.percentiles[0.5].value == 0.001
    assert row.response.percentiles[0.9].value == 0.001  # the mean of the blocks' p90 would be 5 ms
    assert row.throughput is not None
    assert row.throughput.value == pytest.approx(55, rel=0.01)
    assert row.requests == row.rows == 110


def test_percentiles_with_too_few_samples_are_marked(report: Report, block: Make) -> None:
    row = row_of(report, [block("closed:1", 0, noisy(130))])
    assert [row.response.percentiles[share].enough for share in (0.9, 0.95, 0.99)] == [True, True, False]


def test_service_time_leaves_the_lag_out(report: Report, block: Make) -> None:
    lag = pack(np.full(100, 400_000, dtype=np.int64))
    row = row_of(report, [block("closed:1", 0, [1.0] * 100, send_lag=lag)])
    assert row.response.percentiles[0.5].value == pytest.approx(0.001)
    assert row.service.percentiles[0.5].value == pytest.approx(0.0006)
    assert row.send_lag[0.99] == pytest.approx(0.0004)


def test_a_void_load_has_a_problem_and_no_numbers(report: Report, block: Make) -> None:
    row = row_of(report, [block("closed:1", 0, [1.0]), block("closed:1", 1, [1.0], void="cannot keep up")])
    assert (row.problem, row.median, row.throughput) == ("cannot keep up", None, None)
    assert row.invalid


def test_failures_of_all_blocks_are_summed_by_kind(report: Report, block: Make) -> None:
    row = row_of(report, [block("closed:1", n, [1.0] * 8, failures={"timeout": 2}) for n in range(3)])
    assert row.errors == {"timeout": 6}
    assert row.error_share == pytest.approx(0.2)
    assert any("20 % of the requests failed" in reason for reason in row.invalid)


def test_a_target_that_was_not_measured(report: Report) -> None:
    row = row_of(report, [], problem="connect: refused")
    assert (row.median, row.problem, row.errors, row.invalid) == (None, "connect: refused", {}, ())


def test_warm_up_is_found_and_left_out(report: Report, block: Make) -> None:
    cold, warm = noisy(200, 50.0), noisy(3800, 1.0)
    row = row_of(report, [block("closed:1", 0, cold + warm)])
    assert row.warm_up == pytest.approx(0.05, abs=0.01)  # 200 of 4,000 requests evenly over a second
    assert row.response_times[-1] < 0.05
    assert 3700 <= row.requests <= 3810


def test_a_rate_that_changes_by_design_has_no_warm_up(report: Report, block: Make) -> None:
    load = Ramp(first=1, last=100)
    row = row_of(report, [block(load.spec, 0, noisy(200, 50.0) + noisy(3800))], load)
    assert (row.warm_up, row.steady, row.requests) == (0.0, None, 4000)


def test_a_query_takes_as_long_as_its_slowest_request(report: Report, block: Make) -> None:
    made = block("multi-stream:4", 0, [1.0, 2.0, 3.0, 4.0] * 30)
    due = pack(np.repeat(np.arange(30, dtype=np.int64) * 10_000_000, 4))
    row = row_of(report, [msgspec.structs.replace(made, scheduled=due)], MultiStream(streams=4))
    assert row.requests == 120
    assert len(row.response_times) == 30
    assert set(row.response_times.round(6)) == {0.004}


def test_offered_is_the_schedules_rate(report: Report, block: Make) -> None:
    row = row_of(report, [block("poisson:100", 0, [1.0] * 90, failures={"timeout": 10})], Poisson(rate=100))
    assert row.offered == 100
    assert row_of(report, [block("closed:1", 0, [1.0])]).offered is None


def test_inferences_are_counted_by_payload(report: Report, block: Make) -> None:
    entry = PayloadEntry(model="m", version="1", label="", rows=1, weight=1, sha256="")
    eight = msgspec.structs.replace(entry, rows=8)
    swept = msgspec.structs.replace(report, payloads=(entry, eight))
    assert row_of(swept, [block("closed:1", 0, [1.0] * 10)]).rows == 10
    assert row_of(swept, [block("closed:1", 0, [1.0] * 10)], first_payload=1).rows == 80


def test_models_of_a_mix_have_times_of_their_own(report: Report, block: Make) -> None:
    entries = tuple(
        PayloadEntry(model=model, version="1", label="", rows=1, weight=1, sha256="") for model in ("quick", "slow")
    )
    payload = pack(np.array([0, 1] * 40, dtype=np.int64))
    made = msgspec.structs.replace(block("closed:1", 0, [1.0, 9.0] * 40), payload=payload)
    row = row_of(msgspec.structs.replace(report, payloads=entries), [made])
    medians = {model: times.percentiles[0.5].value for model, times in row.by_model.items()}
    assert medians == {"quick": 0.001, "slow": 0.009}
    assert not row_of(report, [block("closed:1", 0, [1.0] * 9)]).by_model


def test_server_times_of_blocks_are_added_by_source(report: Report, block: Make) -> None:
    told = ServerTimes(source="Server-Timing", requests=2, seconds={"queue": 1.0, "backend": 2.0}, total=4.0)
    other = ServerTimes(source="OIP statistics", requests=9, seconds={"queue": 1.0})
    blocks = [
        block("closed:1", 0, [1.0], server_times=(told, other)),
        block("closed:1", 1, [1.0], server_times=(told,)),
    ]
    first, second = row_of(report, blocks).server_times
    assert first == ServerTimes(source="Server-Timing", requests=4, seconds={"queue": 2.0, "backend": 4.0}, total=8.0)
    assert second == other


def test_each_answer_counts_with_its_share_in_the_window(block: Make) -> None:
    made = block("closed:1", 0, [1000.0] * 4)  # due at 0, 0.25, 0.5 and 0.75 s, each takes a second
    assert block_rate(made) == pytest.approx(1 + 0.75 + 0.5 + 0.25)


def test_throughput_of_one_block_has_an_interval_from_its_slices(block: Make) -> None:
    estimate = throughput([block("closed:1", 0, noisy(2000))])
    assert estimate is not None
    assert estimate.value == pytest.approx(2000, rel=0.01)
    assert estimate.interval is not None
    assert estimate.interval.holds(2000)
    assert throughput([]) is None
