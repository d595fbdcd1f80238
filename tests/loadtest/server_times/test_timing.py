import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.messages import RequestContext
from gateway.frontends.hints import server_timing
from loadtest.calls import Call
from loadtest.server_times.timing import TimingSum, durations

NS = 1_000_000_000


def answered(value, service_time=NS // 100):
    call = Call(0, 0, lambda _: None)
    call.sent, call.done, call.server_timing = 5 * NS, 5 * NS + service_time, value
    return call


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"queue;dur=0.012, backend;dur=1.5, gateway;dur=0.2", {"queue": 12e-6, "backend": 1.5e-3, "gateway": 0.2e-3}),
        (b'db;desc="first, second; dur=9";dur=2', {"db": 2e-3}),
        (b'db;desc="a \\" quote, dur=9" ; DUR = "3.5"', {"db": 3.5e-3}),
        (b"a;dur=1;dur=2", {"a": 1e-3}),
        (b"a;dur=1,a;dur=2", {"a": 3e-3}),
        (b"a;dur=0", {"a": 0.0}),
        (b"miss, cache;desc=hit, b;dur=x, c;dur=-1, d;dur=nan, e;dur=inf, f;dur=1e1", {"f": 10e-3}),
        (b" , ;dur=1, =, ;;, a;;dur=1", {"a": 1e-3}),
        (b'a;dur=1, b;desc="never ends, c;dur=2', {"a": 1e-3, "c": 2e-3}),
        (b"", {}),
    ],
)
def test_durations(value, seconds):
    assert durations(value) == pytest.approx(seconds)


@given(st.binary(max_size=60) | st.text('abdur;,="\\ .0123', max_size=60).map(str.encode))
def test_no_value_is_too_odd(value):
    assert all(seconds >= 0 and math.isfinite(seconds) for seconds in durations(value).values())


def test_what_the_gateway_says_is_understood():
    context = RequestContext("test", backend_seconds=0.25, queue_seconds=0.05)
    context.started -= 1.0
    parts = durations(server_timing(context).encode())
    assert parts["queue"] == pytest.approx(0.05)
    assert parts["backend"] == pytest.approx(0.2)
    assert 0.75 <= parts["gateway"] < 10


def test_sums_and_service_times_are_of_the_same_answers():
    timing = TimingSum(every=4)
    for number in range(4000):
        timing.add(answered(b"queue;dur=%d" % number, service_time=2 * number * 1_000_000))
    times = timing.result()
    assert times.source == "Server-Timing"
    assert times.requests == timing.requests == pytest.approx(1000, rel=0.1)
    assert times.total == pytest.approx(2 * times.seconds["queue"])


def test_a_server_that_takes_turns_is_seen_from_both_sides():
    timing = TimingSum(every=16)
    for number in range(16_000):
        timing.add(answered(b"even;dur=1" if number % 2 else b"odd;dur=1"))
    seconds = timing.result().seconds
    assert seconds["even"] == pytest.approx(seconds["odd"], rel=0.25)


def test_memory_has_a_bound_and_every_part_of_the_block_its_share():
    timing = TimingSum(every=1)
    for number in range(200_000):
        timing.add(answered(b"early;dur=1" if number < 100_000 else b"late;dur=1"))
    assert 2000 < timing.requests <= 8192
    seconds = timing.result().seconds
    assert seconds["early"] == pytest.approx(seconds["late"], rel=0.1)


def test_without_the_header_nothing_is_kept():
    timing = TimingSum(every=1)
    for _ in range(10):
        timing.add(answered(b""))
    assert timing.requests == 0
