import numpy as np
import pytest

from benchmarks.matrix import BINARY, FULL, GRPC, JSON, LARGE, MIDDLE, SMALL, for_peers
from benchmarks.measure import ratios, target_of
from benchmarks.ways import Server
from loadtest.clock import NS
from loadtest.results.block import Block, Health, pack

EMPTY = pack(np.empty(0, np.int64))


def block(repetition, milliseconds, count=100):
    """One caller whose answers take so long."""
    taken = np.full(count, int(milliseconds * 1e6), np.int64)
    due = np.arange(count, dtype=np.int64) * taken
    zeros = pack(np.zeros(count, np.int64))
    return Block(
        load="closed:1",
        repetition=repetition,
        window_seconds=float(taken.sum()) / NS or 1.0,
        offered=count,
        payload=zeros,
        scheduled=pack(due),
        send_lag=zeros,
        first_byte=pack(taken),
        response_time=pack(taken),
        failed_at=EMPTY,
        failed_kind=EMPTY,
        health=Health(generator_cpu=0.1),
    )


def test_ratios_are_those_to_direct_calls_of_the_same_round():
    slow = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]  # the machine gets slower and slower
    direct = [block(number, time) for number, time in enumerate(slow)]
    other = [block(number, 2 * time) for number, time in reversed(list(enumerate(slow)))]
    rate, median = ratios(direct, other)
    assert rate.value == pytest.approx(0.5)
    assert median.value == pytest.approx(2.0)
    assert rate.interval.low == pytest.approx(rate.interval.high)


def test_a_round_that_one_of_them_missed_does_not_count():
    rate, _ = ratios([block(0, 1.0), block(1, 1.0)], [block(1, 4.0), block(2, 100.0)])
    assert rate.value == pytest.approx(0.25)


def test_without_a_pair_there_is_no_ratio():
    assert ratios([block(0, 1.0)], [block(1, 1.0)]) == (None, None)
    assert ratios([block(0, 1.0)], [block(0, 1.0, count=0)]) == (None, None)


def test_the_sizes_are_what_they_are_called():
    assert [size.rows * 784 * 4 for size in (SMALL, MIDDLE, LARGE)] == [3136, 224 * 224 * 3 * 4, 10_486_784]


def test_other_servers_get_fewer_large_requests_at_once():
    assert for_peers(FULL, SMALL) is FULL
    assert for_peers(FULL, LARGE).connections == (1, 16)


def test_each_form_is_asked_at_the_port_of_its_protocol():
    server = Server("gateway", "", "127.0.0.1:1", "127.0.0.1:2", 3)
    assert [target_of(server, form).address[-1] for form in (BINARY, JSON, GRPC)] == ["1", "1", "2"]
    assert target_of(server, BINARY).via == "gateway"
    assert target_of(Server("Envoy", "", "127.0.0.1:1", "", 3), BINARY).via == "direct"
