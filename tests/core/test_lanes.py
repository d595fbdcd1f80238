"""Against a simulated server on a virtual clock, which serves some calls side by side and lets the others queue."""

import heapq
import random

import pytest

from gateway.core.lanes import Lanes


class Server:
    """Answers ``workers`` calls at once, each in about ``seconds`` (exponential where ``noisy``), ``distance`` away."""

    def __init__(self, workers, seconds=0.01, distance=0.0, noisy=False, seed=7):
        self.workers, self.seconds, self.distance = workers, seconds, distance
        self.noisy = noisy
        self.random = random.Random(seed)
        self.free_at = [0.0] * workers

    def call(self, now):
        """When a call that goes out ``now`` comes back."""
        share = self.random.expovariate(1) if self.noisy else self.random.uniform(0.8, 1.2)
        took = self.seconds * share
        began = max(heapq.heappop(self.free_at), now + self.distance / 2)
        heapq.heappush(self.free_at, began + took)
        return began + took + self.distance / 2


def run(lanes, server, until, *, crowded=True, now=0.0):
    """Keep all lanes busy from ``now`` to ``until``; returns the limits that were seen in the last half."""
    under_way, seen = [], []
    while now < until:
        while len(under_way) < lanes.limit:
            heapq.heappush(under_way, server.call(now))
        now = heapq.heappop(under_way)
        lanes.answered(1, now, crowded=crowded)
        if now > until / 2:
            seen.append(lanes.limit)
    return seen


def usual(seen):
    return max(set(seen), key=seen.count)


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
def test_as_many_lanes_as_the_server_has_workers(workers):
    found = usual(run(Lanes(1, 64), Server(workers), 60))
    assert workers <= found <= workers + max(1, workers // 4)


def test_a_long_way_needs_more_lanes():
    """By Little's law 2 workers of 10 ms behind 40 ms of network need 10 lanes."""
    assert 8 <= usual(run(Lanes(1, 64), Server(2, 0.01, distance=0.04), 60)) <= 13


def test_noise_costs_little():
    lanes, server = Lanes(1, 64), Server(4, noisy=True)
    seen = run(lanes, server, 120)
    assert 3 <= usual(seen) <= 8


@pytest.mark.parametrize("seed", range(8))
def test_chance_does_not_make_them_grow(seed):
    seen = run(Lanes(1, 64), Server(1, 0.02, noisy=True, seed=seed), 240)
    assert usual(seen) <= 3
    assert sum(limit > 4 for limit in seen) < 0.25 * len(seen)  # when more are tried


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_server_is_found_out_within_a_minute(seed):
    assert usual(run(Lanes(1, 64), Server(1, 0.07, seed=seed), 60)) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_fewer_are_tried_before_more(seed):
    assert max(run(Lanes(1, 64), Server(1, 0.07, seed=seed), 12)) <= 4


@pytest.mark.parametrize("seed", range(3))
def test_fewer_need_only_be_about_as_good(seed):
    assert usual(run(Lanes(1, 64), Server(1, seed=seed), 8)) <= 2


def test_many_are_found_soon():
    assert usual(run(Lanes(1, 64), Server(32), 20)) >= 32


def test_a_server_that_grows_gets_more():
    lanes = Lanes(1, 64)
    run(lanes, Server(2), 30)
    assert usual(run(lanes, Server(12), 400, now=30)) >= 12


def test_bounds_hold():
    assert set(run(Lanes(3, 5), Server(1), 60)) <= {3, 4, 5}
    assert set(run(Lanes(3, 5), Server(20), 60)) <= {3, 4, 5}
    assert set(run(Lanes(7, 7), Server(1), 10)) == {7}


def test_while_nobody_waits_nothing_is_tried():
    assert set(run(Lanes(1, 64), Server(16), 60, crowded=False)) == {1}
