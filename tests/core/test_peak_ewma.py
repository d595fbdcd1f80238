"""The estimate of a backend's latency."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.peak_ewma import DECAY, PENALTY, PeakEwma


def answer(subject, seconds, now):
    """One request that is answered at ``now``."""
    subject.answered(subject.begin(now - seconds), now)


def fail(subject, seconds, now):
    subject.failed(subject.begin(now - seconds), now)


def known(seconds, now=0.0):
    subject = PeakEwma()
    answer(subject, seconds, now)
    return subject


def test_nothing_known_is_worth_a_try_but_only_one():
    subject = PeakEwma()
    assert subject.estimate(3.0) == 0
    number = subject.begin(3.0)
    assert subject.estimate(3.0) == PENALTY
    assert subject.estimate(3.0 + 2 * PENALTY) == 2 * PENALTY
    subject.answered(number, 3.5)
    assert subject.estimate(3.5) == 0.5


def test_a_peak_is_believed_at_once():
    subject = known(0.01)
    answer(subject, 0.5, 1.0)
    assert subject.estimate(1.0) == 0.5


def test_better_news_are_believed_as_time_passes():
    subject = known(0.5)
    answer(subject, 0.1, DECAY)
    weight = math.exp(-1)
    assert subject.estimate(DECAY) == pytest.approx(0.5 * weight + 0.1 * (1 - weight))
    for step in range(1, 1000):
        answer(subject, 0.1, DECAY + step * 0.1)
    assert subject.estimate(DECAY + 99.9) == pytest.approx(0.1)


def test_without_any_news_it_sinks():
    subject = known(1.0)
    assert subject.estimate(DECAY) == pytest.approx(math.exp(-1))
    assert subject.estimate(1e6) == 0


def test_one_that_is_waited_for_counts_as_long_as_it_has_been():
    subject = known(0.01)
    first = subject.begin(10.0)
    second = subject.begin(11.0)
    assert subject.estimate(12.0) == 2.0
    subject.answered(first, 12.0)
    assert subject.estimate(14.0) == 3.0
    subject.abandoned(second, 14.0)
    assert subject.estimate(14.0) == 3.0


def test_failures_count_by_their_share():
    def after(failures, of):
        subject = known(0.01)
        for number in range(of):
            (fail if number % (of // failures) == 0 else answer)(subject, 0.01, number * 10 / of)
        return subject.estimate(10.0)

    assert after(1000, 1000) == pytest.approx(PENALTY * (1 - math.exp(-2)), rel=0.05)
    assert after(10, 1000) == pytest.approx(0.01 * PENALTY, rel=0.3)
    assert after(1, 1000) < 0.02


def test_a_failure_that_took_longer_than_the_penalty_is_a_peak():
    subject = known(0.01)
    fail(subject, 3 * PENALTY, 1.0)
    assert subject.estimate(1.0) == 3 * PENALTY


def test_what_was_given_up_tells_only_that_it_took_no_less():
    subject = known(0.1)
    subject.abandoned(subject.begin(0.0), 0.05)
    assert subject.estimate(0.05) == pytest.approx(0.1, rel=0.02)
    subject.abandoned(subject.begin(0.0), 0.3)
    assert subject.estimate(0.3) == pytest.approx(0.3)


@given(st.lists(st.tuples(st.sampled_from(["answered", "failed", "abandoned"]), st.floats(0, 100), st.floats(0, 100))))
def test_it_stays_between_nothing_and_the_worst(requests):
    subject, now = PeakEwma(), 0.0
    worst = PENALTY
    for ending, pause, seconds in requests:
        number = subject.begin(now + pause)
        now += pause + seconds
        worst = max(worst, seconds)
        getattr(subject, ending)(number, now)
        assert 0 <= subject.estimate(now) <= worst * (1 + 1e-9)
        if ending != "abandoned":
            assert subject.estimate(now) >= seconds - 1e-9
