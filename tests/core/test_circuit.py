"""The circuit's states; ``test_accrual`` has when it opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.circuit import BreakerPolicy, Circuit, CircuitState

CLOSED, HALF_OPEN, OPEN = CircuitState
ONE = BreakerPolicy(failures=1, backoff=(1, 60))


def circuit(policy=ONE, random=lambda: 0.0):
    return Circuit(policy, random)


def fail(subject, now):
    return subject.failed(subject.generation, now)


def succeed(subject, now):
    return subject.succeeded(subject.generation, now)


def test_it_opens_tries_and_closes():
    subject = circuit()
    assert not succeed(subject, 5.0)
    assert subject.state(5.0) is CLOSED
    assert fail(subject, 5.0)
    assert [subject.state(now) for now in (5.0, 5.99, 6.0)] == [OPEN, OPEN, HALF_OPEN]
    assert not subject.closed
    assert succeed(subject, 6.0)
    assert subject.closed
    assert subject.state(6.0) is CLOSED


def test_one_request_tries():
    subject = circuit()
    assert not subject.begin_probe(0.0)  # nothing to find out
    fail(subject, 0.0)
    assert not subject.begin_probe(0.9)
    assert subject.wants_probe(1.0)
    assert subject.begin_probe(1.0)
    assert not subject.wants_probe(1.0)
    assert not subject.begin_probe(1.0)
    subject.end_probe()  # without an outcome
    assert subject.begin_probe(1.0)
    fail(subject, 1.5)
    subject.end_probe()
    assert not subject.wants_probe(1.5)
    assert subject.wants_probe(3.5)


def reopenings(subject, count):
    """How long it stays open each time, when it never helps."""
    now, pauses = 0.0, []
    for _ in range(count):
        fail(subject, now)
        opened = now
        while subject.state(now) is OPEN:
            now += 0.125
        pauses.append(now - opened)
    return pauses


def test_it_stays_open_ever_longer():
    assert reopenings(circuit(), 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert reopenings(circuit(random=lambda: 1.0), 8) == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("well_for", "pause"), [(30.0, 4.0), (31.0, 1.0)])
def test_only_after_a_whole_window_of_health_it_begins_anew(well_for, pause):
    subject = circuit()
    fail(subject, 0.0)
    fail(subject, 1.0)
    succeed(subject, 3.0)
    now = 3.0 + well_for
    fail(subject, now)
    assert subject.state(now + pause - 0.01) is OPEN
    assert subject.state(now + pause) is HALF_OPEN


def test_it_can_be_told_to_try_now():
    subject = circuit()
    subject.half_open(0.0)
    assert subject.state(0.0) is CLOSED
    fail(subject, 0.0)
    subject.half_open(0.5)
    assert subject.state(0.5) is HALF_OPEN
    subject.half_open(0.7)
    assert subject.state(0.5) is HALF_OPEN


def test_while_it_is_open_attempts_change_nothing():
    subject = circuit()
    fail(subject, 0.0)
    assert not fail(subject, 0.5)
    assert not succeed(subject, 0.5)
    assert [subject.state(now) for now in (0.5, 1.0)] == [OPEN, HALF_OPEN]


def test_one_that_is_needed_all_the_same_closes_at_once():
    subject = circuit()
    fail(subject, 0.0)
    subject.is_needed()
    assert not fail(subject, 0.4)  # and failures do not keep it open for longer
    assert succeed(subject, 0.5)
    fail(subject, 0.6)
    assert not succeed(subject, 0.7)  # that was for that time


def test_attempts_of_another_state_change_nothing():
    subject = circuit()
    first = subject.generation
    fail(subject, 0.0)
    assert not subject.failed(first, 2.0)
    assert not subject.succeeded(first, 2.0)
    assert subject.state(2.0) is HALF_OPEN
    second = subject.generation
    succeed(subject, 2.0)
    assert not subject.failed(second, 2.0)
    assert subject.state(2.0) is CLOSED


def test_another_policy_leaves_the_state_and_counts_anew():
    subject = circuit(BreakerPolicy(failures=2))
    fail(subject, 0.0)
    subject.adopt(BreakerPolicy(failures=2))
    assert fail(subject, 0.0)  # the same one: the first failure counts
    subject.adopt(BreakerPolicy(failures=3))
    assert [subject.state(now) for now in (0.9, 1.0)] == [OPEN, HALF_OPEN]
    assert succeed(subject, 1.0)
    assert [fail(subject, 1.0) for _ in range(3)] == [False, False, True]
    subject = circuit(BreakerPolicy(failures=2))
    fail(subject, 0.0)
    subject.adopt(BreakerPolicy(failures=2, success_rate=0.5))
    assert not fail(subject, 0.0)


def test_failures_before_it_opened_are_forgotten_when_it_closes():
    subject = circuit(BreakerPolicy(failures=5, success_rate=0.8, min_requests=5, backoff=(1, 1)))
    for _ in range(5):
        fail(subject, 0.0)
    succeed(subject, 1.0)
    assert not fail(subject, 1.0)
    assert subject.closed


STEPS = ["fail", "succeed", "probe", "end", "half", "need"]


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.floats(0, 5)), max_size=60))
def test_whatever_happens_it_is_never_open_for_longer_than_allowed(steps):
    subject, now = circuit(BreakerPolicy(failures=2, backoff=(1, 8)), random=lambda: 0.3), 0.0
    probes, needed = 0, False
    for step, pause in steps:
        now += pause
        was = subject.state(now)
        if step == "fail":
            opened = fail(subject, now)
            assert opened <= (was is not OPEN)
            needed = needed and not opened
        elif step == "succeed":
            assert succeed(subject, now) is (was is HALF_OPEN or (was is OPEN and needed))
        elif step == "need":
            subject.is_needed()
            needed = True
        elif step == "probe":
            begun = subject.begin_probe(now)
            assert begun <= (was is HALF_OPEN)
            probes += begun
        elif step == "end":
            subject.end_probe()
        else:
            subject.half_open(now)
            assert subject.state(now) is not OPEN
        assert subject.closed is (subject.state(now) is CLOSED)
        assert subject.state(now + 8) is not OPEN
