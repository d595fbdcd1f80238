"""Which backend gets a request; time is virtual. What happens when one fails is in test_balance_faults.py."""

import asyncio
import contextlib

import pytest
from support.played_servers import PlayedServer, ask, balanced, load, now, share
from support.services import echo, request
from support.virtual_time import run_virtual

from gateway.core.backend import Load
from gateway.core.errors import BackendError, BackendNotFound, InvalidRequest, NoHealthyBackend
from gateway.core.messages import RequestContext
from gateway.filters.balance import Balance
from gateway.filters.policies import Candidate, Cheapest, least_loaded, peak_ewma


def served_by(balance, count, **context):
    """Who is asked, one request after the other."""

    async def run():
        return [(await ask(balance, **context))[0] for _ in range(count)]

    return run_virtual(run())


@pytest.mark.parametrize("cost", [peak_ewma, least_loaded])
@pytest.mark.parametrize("names", ["a", "ab", "abc", "abcd"])
def test_equals_take_turns(cost, names):
    balance = balanced(*[PlayedServer(name, 0) for name in names], policy=Cheapest(cost, 10))
    assert sorted(served_by(balance, 5 * len(names))) == sorted(5 * names)


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_equally_fast_ones_get_equal_shares(names):
    async def run():
        return (await load(balanced(*[PlayedServer(name, 0.02) for name in names]), 8, 20))[0]

    shares = run_virtual(run())
    assert all(share(shares, name) == pytest.approx(1 / len(names), rel=0.1) for name in names)


def test_the_fewest_in_flight_are_preferred_when_that_is_the_policy():
    servers = [PlayedServer(name, seconds) for name, seconds in [("a", 0.001), ("b", 1.0)]]
    for server, busy in zip(servers, (2, 1), strict=True):
        server.endpoint.load = Load(busy)
    assert served_by(balanced(*servers, policy=Cheapest(least_loaded, 10)), 3) == ["b"] * 3


def test_the_load_of_other_models_on_the_same_backend_counts():
    async def run():
        servers = [PlayedServer("a", 0.01), PlayedServer("b", 0.01)]
        balance = balanced(*servers)
        await load(balance, 2, 1)
        servers[0].endpoint.load.in_flight += 3  # of another model
        return (await load(balance, 2, 1))[0]

    shares = run_virtual(run())
    assert share(shares, "b") > 0.9


@pytest.mark.parametrize("clients", [1, 8])
def test_ten_times_slower_gets_little_and_is_tried_again_and_again(clients):
    async def run():
        fast, slow = PlayedServer("fast", 0.02), PlayedServer("slow", 0.2)
        shares, _ = await load(balanced(fast, slow), clients, 60)
        return shares

    shares = run_virtual(run())
    assert share(shares, "fast") > 0.98
    assert shares["slow"] >= 4


def test_all_are_compared_so_the_middle_one_of_three_gets_only_what_it_is_good_for():
    async def run():
        servers = [PlayedServer(name, seconds) for name, seconds in [("a", 0.02), ("b", 0.1), ("c", 1.0)]]
        return (await load(balanced(*servers), 4, 60))[0]

    shares = run_virtual(run())
    assert share(shares, "a") > 0.95
    assert 0 < share(shares, "b") < 0.05
    assert 0 < share(shares, "c") < 0.01


def test_what_was_slow_recovers_its_share():
    async def run():
        steady, other = PlayedServer("steady", 0.02), PlayedServer("other", 0.02)
        balance = balanced(steady, other)
        shares = [(await load(balance, 8, 10))[0]]
        other.seconds = 0.2
        shares.append((await load(balance, 8, 10))[0])
        other.seconds = 0.02
        await load(balance, 8, 25)
        shares.append((await load(balance, 8, 10))[0])
        return [share(each, "other") for each in shares]

    before, slow, after = run_virtual(run())
    assert before == pytest.approx(0.5, abs=0.02)
    assert slow < 0.03
    assert after == pytest.approx(0.5, abs=0.05)


def test_one_that_nothing_is_known_of_gets_a_first_request_and_not_the_next_ones_before_its_answer():
    async def run():
        known, new = PlayedServer("known", 0.01), PlayedServer("new", 0.01)
        balance = balanced(known, new)
        await ask(balance, backend="known")
        burst = [asyncio.create_task(ask(balance)) for _ in range(20)]
        await asyncio.sleep(0)
        first = new.asked
        await asyncio.gather(*burst)
        shares, _ = await load(balance, 8, 10)
        return first, share(shares, "new")

    first, later = run_virtual(run())
    assert first == 1
    assert later == pytest.approx(0.5, abs=0.05)


def test_a_burst_upon_a_start_is_shared():
    async def run():
        servers = [PlayedServer(name, 0.01) for name in "abc"]
        balance = balanced(*servers)
        await asyncio.gather(*[ask(balance) for _ in range(30)])
        return [server.asked for server in servers]

    assert all(5 <= asked <= 15 for asked in run_virtual(run()))


def test_unhealthy_and_tried_ones_are_left_out():
    servers = [PlayedServer(name) for name in "abc"]
    balance = balanced(*servers)
    servers[0].endpoint.mark_down("broken")
    assert served_by(balance, 4, tried=("b",)) == ["c"] * 4
    servers[2].endpoint.mark_down("gone")
    with pytest.raises(NoHealthyBackend, match=r"a: broken; b: tried; c: gone"):
        run_virtual(balance(request(context=RequestContext("test", tried=("b",)))))


def test_a_named_backend_is_used_even_when_it_is_down():
    servers = [PlayedServer(name) for name in "ab"]
    servers[1].endpoint.mark_down("broken")
    assert served_by(balanced(*servers), 3, backend="b") == ["b"] * 3


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(BackendNotFound, match="no backend 'q' serves model 'm'; known: a, b"):
        run_virtual(balanced(PlayedServer("a"), PlayedServer("b"))(request(context=RequestContext("t", backend="q"))))


@pytest.mark.parametrize(
    "error", [None, BackendError("x"), InvalidRequest("x"), KeyError("x"), asyncio.CancelledError()]
)
def test_the_load_is_that_of_the_requests_under_way_however_they_end(error):
    server = PlayedServer("a")
    load, seen = server.endpoint.load, []

    async def inner(message):
        seen.append(load.in_flight)
        if error is not None:
            raise error
        return echo(message)

    balance = Balance("m", [Candidate(server.endpoint, server, inner)], Cheapest(peak_ewma, 10), clock=now)
    with contextlib.nullcontext() if error is None else pytest.raises(type(error)):
        run_virtual(balance(request()))
    assert seen == [1]
    assert load.in_flight == 0
