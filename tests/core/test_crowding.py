"""The rule on a virtual clock: an event loop whose rounds take as long as there is to do in them."""

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.crowding import INTERVAL, LEAST, TARGET, Crowding

COST, REFUSAL = 0.0003, 0.00002  # seconds of the loop
CAPACITY = 1 / COST
STAGES = 3  # rounds that a request passes: read, worked on, answered


class Loop:
    """Requests come at random; ``rate`` says how many a second."""

    def __init__(self, *, cost=COST, seed=1):
        self.crowding = Crowding()
        self.now, self.good, self.refused = 0.0, 0, []
        self.waits = []  # from arrival to answer
        self._stages = deque([[] for _ in range(STAGES)])
        self._cost = cost
        self._random = random.Random(seed)
        self._next = 0.0

    @property
    def in_flight(self):
        return sum(map(len, self._stages))

    def run(self, rate, seconds):
        """Good and refused requests of these ``seconds``."""
        end, good, refused = self.now + seconds, self.good, len(self.refused)
        self._next = max(self._next, self.now)
        while self.now < end:
            self._round(rate)
        return self.good - good, len(self.refused) - refused

    def block(self, seconds):
        """Somebody's large document."""
        self.now += seconds
        self.crowding.round_ended(seconds, self.now)

    def _round(self, rate):
        began, arrived = self.now, []
        if not self.in_flight and self._next > self.now:
            self.crowding.idled(self.now)
            self.now = began = self._next
        while self._next <= began:
            if self.crowding.admits(self.in_flight + len(arrived)):
                arrived.append(self._next)
            else:
                self.refused.append(self._next)
                self.now += REFUSAL
            self._next += self._random.expovariate(rate)
        self._stages.appendleft(arrived)
        self.now += sum(map(len, self._stages)) * self._cost / (STAGES + 1)
        answered = self._stages.pop()
        self.good += len(answered)
        self.waits += [self.now - since for since in answered]
        self.crowding.round_ended(self.now - began, self.now)


def test_three_times_the_capacity_costs_little_more_than_its_refusals():
    loop = Loop()
    loop.run(3 * CAPACITY, 2.0)
    loop.waits.clear()
    good, refused = loop.run(3 * CAPACITY, 10.0)
    for_refusals = refused * REFUSAL
    assert good > 0.97 * CAPACITY * (10.0 - for_refusals)
    assert max(loop.waits) < 0.2


def test_it_is_held_within_two_seconds_and_over_at_once():
    loop = Loop()
    loop.run(3 * CAPACITY, 2.0)
    loop.waits.clear()
    loop.run(3 * CAPACITY, 1.0)
    assert sorted(loop.waits)[len(loop.waits) // 2] < 0.1
    since = loop.now
    loop.run(CAPACITY / 2, 5.0)
    assert all(when < since + 0.2 for when in loop.refused)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_what_the_loop_can_do_is_not_refused(share):
    assert Loop().run(share * CAPACITY, 20.0)[1] == 0


def test_one_long_round_is_no_crowd():
    loop = Loop()
    loop.run(CAPACITY / 2, 1.0)
    loop.block(0.2)
    loop.run(CAPACITY / 2, 5.0)
    assert all(when < 1.6 for when in loop.refused)
    assert loop.crowding.limit > 10_000


def test_a_pause_ends_what_stands():
    crowding = crowded(400, 2 * TARGET, 8)
    crowding.idled(0.08)
    for step in range(9, 12):
        crowding.round_ended(2 * TARGET, step * 2 * TARGET)
    assert crowding.limit == float("inf")


def test_a_slow_machine_refuses_nobody_at_light_load():
    loop = Loop(cost=0.05)
    assert loop.run(10, 30.0)[1] == 0


def test_many_that_wait_for_a_backend_are_no_crowd():
    crowding = Crowding()
    for step in range(1, 2000):
        assert crowding.admits(5000)
        crowding.round_ended(0.99 * TARGET, step * TARGET)
    assert crowding.admits(5000)


def test_a_crowd_of_clients_that_ask_again_at_once_does_not_take_all_places():
    # Refusals alone make these rounds long: a smaller limit would only idle.
    cost, refusal, clients = TARGET / 100, TARGET / 1000, 2000
    crowding, now = Crowding(), 0.0
    for _ in range(200):
        in_flight = 0
        for _ in range(clients):
            in_flight += crowding.admits(in_flight)
        seconds = in_flight * cost + (clients - in_flight) * refusal
        now += seconds
        crowding.round_ended(seconds, now)
    assert crowding.limit == pytest.approx(TARGET / cost, rel=0.3)


def crowded(in_flight=400, seconds=0.1, rounds=3):
    """A rule for which ``in_flight`` requests make rounds of ``seconds``."""
    crowding = Crowding()
    for step in range(1, rounds + 1):
        crowding.admits(in_flight)
        crowding.round_ended(seconds, step * seconds)
    return crowding


def test_the_limit_follows_the_length_of_rounds():
    assert crowded(400, 2 * TARGET, 9).limit == float("inf")  # not for an interval yet
    assert crowded(400, 2 * TARGET, 11).limit == pytest.approx(200)
    assert crowded(1000, 10 * TARGET).limit == pytest.approx(250)  # no more than that at once
    assert crowded(100).limit == LEAST
    assert crowded(100).admits(LEAST - 1, 0.5)


def test_it_waits_until_those_before_a_cut_are_gone():
    crowding = crowded(4000)
    for step in range(4, 20):
        crowding.admits(3000)
        crowding.round_ended(0.1, step * 0.1)
    assert crowding.limit == pytest.approx(1000)


def test_what_is_critical_has_room_when_others_have_none():
    crowding = crowded()
    assert crowding.limit == pytest.approx(100)
    assert [crowding.admits(99, share) for share in (0.5, 1.0, 2.0)] == [False, True, True]
    assert [crowding.admits(100, share) for share in (0.5, 1.0, 2.0)] == [False, False, True]
    assert not crowding.admits(200, 2.0)


def test_an_idle_loop_forgets_its_limit():
    crowding, now = crowded(), 1.0
    for _ in range(12):
        now += INTERVAL
        crowding.round_ended(0.001, now)
        crowding.idled(now + INTERVAL)
        now += INTERVAL
    assert crowding.limit > 10_000


def test_a_limit_that_nobody_reaches_is_none():
    crowding, now = crowded(), 1.0
    limits = []
    for _ in range(20):
        now += INTERVAL
        crowding.idled(now)
        now += INTERVAL
        crowding.idled(now)
        limits.append(crowding.limit)
    finite = [limit for limit in limits if limit < float("inf")]
    assert 500_000 < max(finite) < 1_000_000
    assert limits == [*finite, *[float("inf")] * (len(limits) - len(finite))]
    assert len(finite) < len(limits)


def test_a_long_silence_ends_a_crowd():
    crowding = crowded()  # until 0.3
    assert crowding.limit_at(10.2) == crowding.limit == pytest.approx(100)
    assert crowding.limit_at(10.4) == float("inf")
    crowding.round_ended(0.001, 10.2)
    assert crowding.limit == pytest.approx(100)
    crowding.round_ended(15, 25.2)  # no silence, but one long round
    assert crowding.limit <= 100
    crowding.round_ended(0.001, 35.3)
    assert crowding.limit == float("inf")


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("admits"), st.integers(0, 5000)),
        st.tuples(st.just("round"), st.floats(0, 10)),
        st.tuples(st.just("idle"), st.floats(0, 10)),
    )
)


@given(EVENTS)
def test_whatever_happens_few_are_let_in(events):
    crowding, now = Crowding(), 0.0
    for kind, amount in events:
        if kind == "admits":
            assert crowding.admits(amount, 0.5) or amount >= LEAST
            continue
        now += amount
        if kind == "round":
            crowding.round_ended(amount, now)
        else:
            crowding.idled(now)
        assert crowding.limit >= LEAST
