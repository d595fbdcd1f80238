from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.load_reports import make_block, make_report, make_row

from loadtest.load.loads import ClosedLoop, MultiStream
from loadtest.report.track import Track, track
from loadtest.results.block import Block, pack

LOAD = ClosedLoop(concurrency=1)


def track_of(*blocks: Block) -> Track:
    report = make_report(loads=(LOAD,))
    target = msgspec.structs.replace(report.targets[0], blocks=blocks)
    return track(make_row(report, target, LOAD))


def test_windows_follow_each_other() -> None:
    first = make_block(LOAD, [1, 2], seconds=2.0, lag_ms=np.array([0.5, 0.5]), failed_at_s=[1.5])
    second = make_block(LOAD, [3], seconds=1.0, failed_at_s=[0.25])
    path = track_of(first, second)
    assert path.seconds == 3.0
    assert path.due.tolist() == pytest.approx([0.0, 1.0, 2.0])
    assert path.response.tolist() == pytest.approx([0.001, 0.002, 0.003])
    assert path.service.tolist() == pytest.approx([0.0005, 0.0015, 0.003])
    assert path.failed.tolist() == pytest.approx([1.5, 2.25])


def test_answers_count_where_they_were_complete_even_from_before_the_window() -> None:
    block = make_block(LOAD, [300.0, 100.0, 900.0], seconds=1.0)
    block = msgspec.structs.replace(block, scheduled=pack(np.array([-200_000_000, 0, 500_000_000])))
    path = track_of(block)
    assert path.due.tolist() == pytest.approx([0.0, 0.5])
    assert sorted(path.done.tolist()) == pytest.approx([0.1, 0.1])


def test_nothing_of_a_row_that_must_not_be_used() -> None:
    path = track_of(make_block(LOAD, [1, 1], void="too many in flight"), make_block(LOAD, [2]))
    assert path.response.tolist() == []
    assert track_of().seconds == 0


def test_warm_up_can_be_left_out() -> None:
    path = track_of(make_block(LOAD, [5, 4, 3, 2], seconds=4.0)).settled(2.0)
    assert path.due.tolist() == [2.0, 3.0]
    assert path.response.tolist() == pytest.approx([0.003, 0.002])
    assert path.seconds == 4.0


def test_a_query_counts_once_with_its_slowest_request() -> None:
    load = MultiStream(streams=2)
    block = make_block(load, [5, 7, 3, 2], lag_ms=np.array([0, 1, 0, 0]))
    block = msgspec.structs.replace(block, scheduled=pack(np.array([0, 0, 500_000_000, 500_000_000])))
    report = make_report(loads=(load,))
    path = track(make_row(report, msgspec.structs.replace(report.targets[0], blocks=(block,)), load))
    assert path.due.tolist() == [0.0, 0.5]
    assert path.response.tolist() == pytest.approx([0.007, 0.003])
    assert path.service.tolist() == pytest.approx([0.006, 0.003])
    assert len(path.done) == 4
