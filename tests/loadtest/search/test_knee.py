from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from loadtest.search.knee import knee


def test_an_mm1_queue_turns_at_half_its_capacity() -> None:
    rates = [100, 200, 300, 400, 500, 600, 700, 800, 900]
    assert rates[knee([(rate, 1 / (1000 - rate)) for rate in rates])] == 500


def test_a_closed_loop_turns_where_the_servers_are_all_busy() -> None:
    # Four servers of 10 ms each: up to four callers wait for nobody, from then on for each other.
    callers = [1, 2, 4, 8, 16]
    points = [(100.0 * min(number, 4), 0.01 * max(number / 4, 1)) for number in callers]
    assert callers[knee(points)] == 4


def test_a_server_that_is_busy_with_the_first_caller_turns_there() -> None:
    assert knee([(100, 0.01), (100, 0.02), (100, 0.04)]) == 0


def test_no_knee_while_power_still_rises() -> None:
    assert knee([(100, 0.01), (200, 0.01), (400, 0.01)]) is None


def test_two_points_are_no_curve() -> None:
    assert knee([]) is None
    assert knee([(100, 0.01), (100, 0.02)]) is None


def test_points_without_numbers_are_left_out() -> None:
    good = [(100, 0.01), (200, 0.011), (210, 0.05)]
    points = [(0, 0.0), good[0], (math.nan, 1), good[1], (5, math.inf), good[2], (0, 9.0)]
    assert points[knee(points)] == good[1]


@given(st.lists(st.tuples(st.floats(0.001, 1e6), st.floats(1e-6, 1e3)), max_size=8), st.floats(0.01, 100))
def test_units_do_not_matter(points, factor) -> None:
    exact = [(rate, 2.0 ** round(math.log2(latency))) for rate, latency in points]
    scale = 2.0 ** round(math.log2(factor))
    assert knee(exact) == knee([(rate * scale, latency / scale) for rate, latency in exact])
