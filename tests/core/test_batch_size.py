import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.batch_size import BatchSize


class Server:
    """Takes ``fixed`` seconds a call and ``each`` a row; always has enough that waits."""

    def __init__(self, fixed, each, most=64):
        self.fixed, self.each = fixed, each
        self.size = BatchSize(most)
        self.now = 0.0
        self.largest = 0

    def run(self, seconds, noise=lambda: 0.0, factor=lambda: 1.0):
        end = self.now + seconds
        while self.now < end:
            rows = self.size.limit(self.now)
            took = (self.fixed + self.each * rows) * factor() + noise()
            self.now += took
            self.size.answered(rows, took, self.now)
            self.largest = max(self.largest, rows)
        return self.size.limit(self.now)


def test_the_first_calls_are_single():
    assert BatchSize(64).limit(0.0) == 1


def test_where_calls_cost_and_rows_do_not_batches_grow_to_the_most():
    assert Server(fixed=0.003, each=0.00001).run(10) >= 63


def test_where_rows_cost_and_calls_do_not_nobody_waits_for_others():
    server = Server(fixed=0.0001, each=0.004)
    server.run(60)
    assert server.largest <= 3  # that one size was tried


def test_in_between_the_fixed_cost_no_longer_shows():
    limit = Server(fixed=0.001, each=0.001).run(19)  # before a size is forgotten
    best = 0.001 / 63 + 0.001
    assert 0.001 / limit + 0.001 <= 1.25 * best
    assert limit <= 15


def test_a_tenth_more_throughput_is_worth_a_row_or_two_of_waiting():
    assert 2 <= Server(fixed=0.0015, each=0.013).run(19) <= 3


def test_a_server_that_changes_is_learned_anew():
    server = Server(fixed=0.003, each=0.00001)
    server.run(10)
    server.fixed, server.each = 0.0001, 0.004
    assert server.run(60) <= 3


def test_what_slows_some_calls_down_changes_nothing():
    quiet, noisy = Server(fixed=0.0005, each=0.0002), Server(fixed=0.0005, each=0.0002)
    times = iter([0.0, 0.05, 0.0, 0.0, 0.01] * 10**5)
    assert noisy.run(19, noise=lambda: next(times)) == quiet.run(19)


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_keep_batches_small(seed):
    chance = random.Random(seed)
    server = Server(fixed=0.001, each=0.00002)
    noisy = lambda: 0.001 * (math.exp(chance.gauss(0, 0.6)) - 1)  # noqa: E731
    server.run(5, noise=noisy)
    rows = [server.run(0.5, noise=noisy) for _ in range(40)]
    assert sum(limit >= 31 for limit in rows) >= 36


def test_noise_does_not_make_batches_large_that_gain_next_to_nothing():
    rows = []
    for seed in range(12):
        chance = random.Random(seed)
        server = Server(fixed=0.0027, each=0.0085)  # a small transformer on a CPU
        noisy = lambda chance=chance: math.exp(abs(chance.gauss(0, 0.3)))  # noqa: E731
        server.run(20, factor=noisy)
        rows += [server.run(0.5, factor=noisy) for _ in range(200)]
    assert sum(limit <= 7 for limit in rows) > 0.7 * len(rows)
    assert sum(limit >= 31 for limit in rows) < 0.1 * len(rows)


def tries_of_the_larger(size, began, seconds, larger):
    """When it begins to be tried, from ``began`` on, while a call of 1 row takes 1 s and one of 3 as many as given."""
    tries, last = [], 1
    for tenth in range(10 * seconds):
        now = began + tenth / 10
        rows = size.limit(now)
        if rows == 3 and last == 1:
            tries.append(now)
        last = rows
        size.answered(rows, 1.0 if rows == 1 else larger, now)
    return tries


def test_a_larger_size_that_had_bad_luck_is_tried_again_and_then_less_and_less_often():
    size = BatchSize(3)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries_of_the_larger(size, 0, 60, larger=30.0))]
    assert [round(pause) for pause in pauses[:4]] == [2, 4, 8, 16]
    assert all(15 <= pause <= 22 for pause in pauses[4:])
    # Once it was good, the next loss may be bad luck again.
    tries_of_the_larger(size, 60, 60, larger=1.1)
    assert size.proven(120) == 3
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries_of_the_larger(size, 120, 60, larger=30.0))]
    assert [round(pause) for pause in pauses[1:3]] == [4, 8]


def test_many_calls_make_a_size_look_no_better_than_few():
    chance = random.Random(1)
    size = BatchSize(3)
    for _ in range(100):
        size.answered(1, chance.choice([0.1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), 0.0)
    for _ in range(5):
        size.answered(3, 2.4, 0.0)
    assert size.proven(0.0) == 3


def test_only_the_latest_calls_count():
    size = BatchSize(3)
    for _ in range(100):
        size.answered(1, 0.1, 0.0)
    for _ in range(100):
        size.answered(1, 1.0, 1.0)
    for _ in range(5):
        size.answered(3, 2.4, 1.0)
    assert size.proven(1.0) == 3


def test_a_refused_batch_halves_them_for_a_while():
    server = Server(fixed=0.003, each=0.00001)
    server.run(10)
    server.size.refused(64, server.now)
    assert server.size.limit(server.now) == 32
    server.size.refused(32, server.now)
    assert server.run(10) == 16
    assert server.run(40) >= 63


@given(
    st.integers(1, 300),
    st.lists(st.tuples(st.integers(0, 400), st.floats(0, 10), st.floats(0, 5), st.booleans()), max_size=50),
)
def test_whatever_happens_the_limit_is_within_its_bounds(most, calls):
    size, now = BatchSize(most), 0.0
    for rows, seconds, pause, refused in calls:
        now += pause
        if refused:
            size.refused(rows, now)
        else:
            size.answered(rows, seconds, now)
        assert 1 <= size.limit(now) <= most


@pytest.mark.parametrize("most", [1, 2, 3, 48])
def test_the_most_is_reached_whatever_it_is(most):
    assert Server(fixed=0.01, each=0.0, most=most).run(10) == most


def test_what_is_proven_is_no_trial():
    size = BatchSize(64)
    assert size.proven(0) == 1
    for _ in range(5):
        size.answered(1, 0.01, 1.0)
    assert (size.proven(1.0), size.limit(1.0)) == (1, 3)  # a neighbour is tried
    for _ in range(5):
        size.answered(3, 0.011, 1.0)
    assert (size.proven(1.0), size.limit(1.0)) == (3, 7)
    assert BatchSize(1).proven(0) == 1
