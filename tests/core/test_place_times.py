"""How much of an answer's time is waiting for the event loop."""

import pytest

from gateway.core.place_times import PlaceTimes


@pytest.fixture
def times():
    return PlaceTimes()


def test_nothing_is_known_before_the_first_answer(times):
    times.went_on(1.0)
    assert (times.usual, times.enough(7)) == (0.0, 7)


def test_the_first_answer_is_usual_and_later_ones_change_that_slowly(times):
    times.answered(0.1)
    assert times.usual == 0.1
    times.answered(0.3)
    assert times.usual == pytest.approx(0.11)


@pytest.mark.parametrize(("turn", "enough"), [(0.0, 10), (0.005, 12), (0.0125, 20), (0.02, 50)])
def test_so_many_more_are_needed_as_wait_for_the_loop(times, turn, enough):
    times.answered(0.1)
    for _ in range(500):
        times.went_on(turn)
    assert times.enough(10) == pytest.approx(enough, abs=1)


def test_there_is_a_bound_whatever_is_measured(times):
    times.answered(0.001)
    for _ in range(500):
        times.went_on(1.0)
    assert times.enough(3) == pytest.approx(60, abs=1)
