import pytest

from model_store.calibration.rounds import MOST_ROUNDS, WARM_UPS, time_rounds


class Clock:
    """Time that passes only when a candidate runs."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def run(self, name, seconds):
        def once():
            self.now += seconds
            self.log.append(name)

        return once


@pytest.fixture
def clock():
    return Clock()


def test_every_candidate_is_timed_in_every_round(clock):
    times = time_rounds([clock.run("a", 0.01), clock.run("b", 0.02)], 0.3, clock)
    assert len(times[0]) == len(times[1]) == 10
    assert times[0] == pytest.approx([0.01] * 10)
    assert times[1] == pytest.approx([0.02] * 10)


def test_candidates_take_turns_at_being_first(clock):
    time_rounds([clock.run("a", 0.01), clock.run("b", 0.01)], 0.035, clock)
    assert "".join(clock.log) == "a" * WARM_UPS + "b" * WARM_UPS + "ba" + "ab"


def test_short_runs_are_repeated_after_one_that_does_not_count(clock):
    times = time_rounds([clock.run("a", 0.001)], 0.006, clock)
    assert len(clock.log) == WARM_UPS + 1 + 5
    assert times == [pytest.approx([0.001])]


def test_a_slow_model_is_timed_once(clock):
    assert time_rounds([clock.run("a", 60.0)], 1.0, clock) == [[60.0]]


def test_a_fast_model_does_not_run_for_ever(clock):
    assert len(time_rounds([clock.run("a", 1e-6)], 1e9, clock)[0]) == MOST_ROUNDS
