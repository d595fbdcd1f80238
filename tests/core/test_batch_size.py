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

    def run(self, seconds, noise=lambda: 0.0):
        end = self.now + seconds
        while self.now < end:
            rows = self.size.limit(self.now)
            took = self.fixed + self.each * rows + noise()
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


def test_a_server_that_changes_is_learned_anew():
    server = Server(fixed=0.003, each=0.00001)
    server.run(10)
    server.fixed, server.each = 0.0001, 0.004
    assert server.run(60) <= 3


def test_what_slows_some_calls_down_changes_nothing():
    quiet, noisy = Server(fixed=0.0005, each=0.0002), Server(fixed=0.0005, each=0.0002)
    times = iter([0.0, 0.05, 0.0, 0.0, 0.01] * 10**5)
    assert noisy.run(19, noise=lambda: next(times)) == quiet.run(19)


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
