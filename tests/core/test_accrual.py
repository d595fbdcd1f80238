"""Failures that accrue, held against a recount of all that was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.accrual import FailureAccrual


def accrual(failures=5, success_rate=0.8, window=30.0, min_requests=5):
    return FailureAccrual(failures, success_rate, window, min_requests)


def play(subject, outcomes, now=0.0, step=0.0):
    """Whether the last of ``outcomes`` ("." went well, "x" failed) was one too many, and none before it."""
    verdicts = []
    for outcome in outcomes:
        verdicts.append(subject.failed(now) if outcome == "x" else bool(subject.succeeded(now)))
        now += step
    assert not any(verdicts[:-1])
    return verdicts[-1]


@pytest.mark.parametrize(
    ("outcomes", "too_many"),
    [
        ("xxxx", False),
        ("xxxxx", True),
        ("." * 100 + "xxxx", False),
        ("." * 100 + "xxxxx", True),
        ("." * 100 + "xxxx.xxxx", False),
        ("x...x", True),  # two of five
        ("x....x", True),  # two of six are a third
        ("." * 4 + "x", False),  # one of five is what is allowed
        ("." * 8 + "xx", False),
        ("." * 8 + "xx.x", True),  # three of twelve
        ("x.x", False),  # too few to tell
    ],
)
def test_in_a_row_or_by_rate(outcomes, too_many):
    assert play(accrual(), outcomes) is too_many


def test_without_a_rate_only_those_in_a_row_count():
    assert play(accrual(success_rate=0), "xxxx.xxxx.xxxx.xxxx") is False


def test_what_is_older_than_the_window_is_forgotten():
    subject = accrual(failures=10**9)
    play(subject, "xxxx", now=0.0)
    assert play(subject, "....x", now=27.0) is True  # five of nine
    subject = accrual(failures=10**9)
    play(subject, "xxxx", now=0.0)
    assert play(subject, "....x", now=30.0) is False  # one of five
    assert play(subject, "....x", now=10_000.0) is False


def test_those_in_a_row_count_however_long_it_takes():
    assert play(accrual(), "xxxxx", step=1000.0) is True


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=120),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.5, 0.8, 0.9, 1.0]),
    st.integers(1, 20),
)
def test_it_agrees_with_a_recount(attempts, failures, success_rate, min_requests):
    subject = accrual(failures, success_rate, 30.0, min_requests)
    now, past = 1000.0, []
    for good, pause in attempts:
        now += pause
        past.append((now, good))
        too_many = bool(subject.succeeded(now)) if good else subject.failed(now)
        in_a_row = all(not went for _, went in past[-failures:]) and len(past) >= failures
        recent = [went for at, went in past if int(at / 3) > int(now / 3) - 10]  # ten slices of three seconds
        by_rate = len(recent) >= min_requests and sum(recent) < success_rate * len(recent)
        assert too_many is (not good and (in_a_row or by_rate))
