"""The limit against servers whose best limit is known."""

import pytest
from support.saturated_servers import in_batches, one_by_one

from gateway.core.concurrency_limit import ConcurrencyLimit

# Number of servers, seconds for a request, whether they all take nearly the same.
QUEUES = [
    (4, 0.002, True),
    (4, 0.002, False),
    (16, 0.005, True),
    (16, 0.005, False),
    (64, 0.04, True),
    (100, 0.05, False),
]
# Calls at once, seconds of a call and of each of its rows, rows at most.
BATCHES = [(1, 0.01, 0.0001, 256), (4, 0.005, 0.00005, 64), (2, 0.02, 0.0005, 32)]


def no_appetite():
    return 0


def always(value):
    return lambda now: value


@pytest.mark.parametrize(("servers", "each", "even"), QUEUES)
def test_it_settles_near_the_knee_with_all_of_the_throughput(servers, each, even):
    run = one_by_one(
        ConcurrencyLimit(1, 1000, no_appetite), servers=always(servers), seconds_each=always(each), even=even, until=20
    )
    assert run.rate(4, 20) >= 0.95 * servers / each
    assert 0.7 * servers <= run.limit(14, 20) <= 2.5 * servers


@pytest.mark.parametrize(("lanes", "call", "row", "rows"), BATCHES)
def test_it_leaves_a_backend_that_batches_what_it_needs(lanes, call, row, rows):
    run = in_batches(ConcurrencyLimit(1, 1000, no_appetite), lanes=lanes, call=call, row=row, rows=rows, until=8)
    assert run.rate(4, 8) >= 0.95 * lanes * rows / (call + row * rows)
    assert run.limit(4, 8) <= 2.5 * lanes * rows


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_backend_that_becomes_slow_keeps_its_limit_and_is_back_at_once(seed):
    def each(now):
        return 0.05 if 8 < now < 14 else 0.005

    run = one_by_one(
        ConcurrencyLimit(1, 1000, no_appetite), servers=always(16), seconds_each=each, even=True, until=18, seed=seed
    )
    assert run.rate(8.5, 14) >= 0.95 * 16 / 0.05
    assert run.limit(10, 14) <= 2.5 * 16
    assert run.rate(14.1, 16.1) >= 0.95 * 16 / 0.005  # from what has begun before


@pytest.mark.parametrize(("before", "after"), [(16, 64), (64, 16)])
def test_it_follows_when_backends_come_and_go(before, after):
    def servers(now):
        return before if now < 6 else after

    run = one_by_one(
        ConcurrencyLimit(1, 1000, no_appetite), servers=servers, seconds_each=always(0.005), even=True, until=12
    )
    assert run.rate(8, 12) >= 0.95 * after / 0.005
    assert 0.7 * after <= run.limit(10, 12) <= 2.5 * after


def test_while_nobody_waits_nothing_is_learned():
    limit = ConcurrencyLimit(4, 1000, no_appetite)
    for number in range(10_000):
        limit.answered(0.001 * number, number / 100, crowded=False)
    assert limit.limit == 16


def test_a_crowd_that_comes_and_goes_is_no_trial():
    limit = ConcurrencyLimit(4, 1000, no_appetite)
    for number in range(100_000):
        limit.answered(0.01, number / 1000, crowded=number % 200 < 16)
    assert limit.limit == 16


def test_a_trial_that_the_crowd_leaves_leaves_nothing_behind():
    limit, now = ConcurrencyLimit(4, 1000, no_appetite), 0.0
    while limit.limit != 8:  # twice what it begins with
        now += 0.001
        limit.answered(0.016, now, crowded=True)
    for _ in range(9):
        limit.answered(0.016, now, crowded=False)
    assert limit.limit == 4


# Answers a second, how many are worked on at once, and how far their times are from each other.
SLOW = [(rate, servers, draw) for rate in (10, 14, 30) for servers in (1, 4) for draw in ("even", "exponential")]


@pytest.mark.parametrize(("rate", "servers", "draw"), SLOW)
def test_a_slow_backend_takes_few_answers(rate, servers, draw):
    def each(_):
        return servers / rate

    limit = ConcurrencyLimit(4, 1000, no_appetite)
    run = one_by_one(limit, servers=always(servers), seconds_each=each, even=draw == "even", until=200 / rate)
    assert run.limit(100 / rate, 200 / rate) <= 2.5 * max(4, servers)
    assert run.rate(50 / rate, 200 / rate) >= 0.85 * rate


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_that_take_one_of_two_times(seed):
    run = one_by_one(
        ConcurrencyLimit(4, 1000, no_appetite),
        servers=always(4),
        seconds_each=always(0.04),
        draws=lambda draw: 0.5 if draw.random() < 0.8 else 3.0,
        until=20,
        seed=seed,
    )
    assert run.rate(5, 20) >= 0.95 * 4 / 0.04
    assert run.limit(5, 20) <= 4 * 4


def stay(limit, now, seconds):
    """Answers that take ``seconds`` (a function of the limit) for as long as it stays; returns how many, and when."""
    before, count = limit.limit, 0
    while limit.limit == before:
        now, count = now + 0.01, count + 1
        limit.answered(seconds(before), now, crowded=True)
    return count, now


def one_worker(under_way):
    return 0.01 * under_way


def test_a_trial_takes_no_more_answers_than_their_noise_asks_for():
    limit, now = ConcurrencyLimit(1, 1000, no_appetite), 0.0
    limits, counts = [], []
    while limits[-2:] != [4, 2]:  # from 16 it begins at 4, tries 8, which is no better, and then fewer
        limits.append(limit.limit)
        count, now = stay(limit, now, one_worker)
        counts.append(count)
    assert limits == [16, 4, 8, 4, 2]
    assert max(counts) <= 32  # two rounds of 16 at most


def test_a_leap_of_the_backend_is_not_taken_for_the_limits_doing():
    limit, now = ConcurrencyLimit(1, 1000, no_appetite), 0.0
    while limit.limit != 2:
        _, now = stay(limit, now, one_worker)
    stay(limit, now, lambda _: 4.0)  # half as many cannot carry so much less than half as much
    assert limit.limit == 4


def test_when_batching_wants_less_it_does_not_wait_for_the_trial():
    wanted = [100]
    limit, now = ConcurrencyLimit(4, 1000, lambda: wanted[0]), 0.0
    while limit.limit < 100:
        now += 0.01
        limit.answered(0.01, now, crowded=True)
    for number in range(100):
        now += 0.01
        limit.answered(0.01 * (1 + number % 3), now, crowded=True)
    wanted[0] = 6
    for _ in range(250):
        now += 0.01
        limit.answered(1.0, now, crowded=True)
    assert limit.limit <= 8


@pytest.mark.parametrize(("least", "most"), [(1, 1), (8, 8), (200, 200)])
def test_a_fixed_limit_stays(least, most):
    limit = ConcurrencyLimit(least, most, no_appetite)
    for _ in range(100):
        limit.exceeded()
    run = one_by_one(limit, servers=always(4), seconds_each=always(0.001), until=2)
    assert set(run.limits) == {least}


@pytest.mark.parametrize(("least", "most"), [(20, 100), (1, 10), (100, 1000)])
def test_it_stays_within_its_bounds(least, most):
    for servers in (2, 2000):
        run = one_by_one(
            ConcurrencyLimit(least, most, no_appetite),
            servers=always(servers),
            seconds_each=always(0.002),
            until=2,
            even=True,
        )
        assert least <= min(run.limits)
        assert max(run.limits) <= most


def test_what_batching_has_use_for_is_never_too_much():
    limit = ConcurrencyLimit(1, 1000, lambda: 300)
    run = one_by_one(limit, servers=always(4), seconds_each=always(0.002), even=True, until=4)
    assert run.limit(1, 4) >= 300
    run = one_by_one(
        ConcurrencyLimit(1, 200, lambda: 300), servers=always(4), seconds_each=always(0.002), even=True, until=4
    )
    assert max(run.limits) == 200  # unless more is forbidden


def test_when_every_request_is_one_too_many_it_falls_to_its_least():
    limit = ConcurrencyLimit(4, 1000, no_appetite)
    for _ in range(16):
        limit.exceeded()
    assert limit.limit < 16 * 0.7
    for _ in range(200):
        limit.exceeded()
    assert limit.limit == 4


@pytest.mark.parametrize("least", [4, 10])
def test_from_its_least_it_comes_back(least):
    limit = ConcurrencyLimit(least, 1000, no_appetite)
    for _ in range(300):
        limit.exceeded()
    assert limit.limit == least
    run = one_by_one(limit, servers=always(40), seconds_each=always(0.005), even=True, until=6)
    assert run.rate(2, 6) >= 0.95 * 40 / 0.005


@pytest.mark.parametrize("servers", [4, 20])
def test_quiet_times_tell_where_to_begin(servers):
    limit = ConcurrencyLimit(1, 1000, no_appetite)
    for number in range(100):
        limit.answered(0.1, number / 100 - 1, crowded=False)
    run = one_by_one(limit, servers=always(servers), seconds_each=always(0.1), even=True, until=6)
    assert run.limit(3.3, 6) <= 2.5 * servers  # 16 answers take 0.4 s


def test_answers_that_took_no_time_do_no_harm():
    limit = ConcurrencyLimit(1, 100, no_appetite)
    for number in range(5000):
        limit.answered(0.0, number / 1000, crowded=True)
    assert 1 <= limit.limit <= 100
