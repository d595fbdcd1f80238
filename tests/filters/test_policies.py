"""What each policy makes of the backends that are well; time is virtual. The default one is in test_balance.py."""

import asyncio
from collections import Counter

import pytest
from support.played_servers import PlayedServer, ask, balanced, load, opened, share
from support.virtual_time import run_virtual

from gateway.core.circuit import BreakerPolicy, CircuitState
from gateway.core.errors import BackendError
from gateway.core.routing import ROUTE_KEY
from gateway.core.split import Split
from gateway.filters.policies import Cheapest, FastestWithinSLO, Fixed, Weighted, peak_ewma

BREAKS = BreakerPolicy()


def weighted(**weights):
    return Weighted(Split("m", weights, random=lambda: 0.0))


async def served_by(balance, count, **context):
    return [(await ask(balance, **context))[0] for _ in range(count)]


# fixed


def test_the_first_of_the_order_that_is_healthy_gets_everything():
    async def run():
        servers = [PlayedServer(name) for name in "abc"]
        balance = balanced(*servers, policy=Fixed(["c", "a"]))
        found = []
        for gone in (None, 2, 0):
            if gone is not None:
                servers[gone].endpoint.mark_down("gone")
            found.append(await served_by(balance, 5))
        servers[2].endpoint.mark_healthy()
        return [*found, await served_by(balance, 5)]

    assert run_virtual(run()) == [["c"] * 5, ["a"] * 5, ["b"] * 5, ["c"] * 5]  # b, which is not in the order, is last


def test_a_retry_goes_to_the_next_of_the_order():
    async def run():
        balance = balanced(*[PlayedServer(name) for name in "abc"], policy=Fixed("cba"))
        return await served_by(balance, 1, tried=("c",))

    assert run_virtual(run()) == ["b"]


@pytest.mark.parametrize(("policy", "kept"), [(Fixed("ab"), "a"), (weighted(a=1, b=0), "a")])
def test_no_request_is_risked_on_a_backend_that_is_not_meant_to_get_any(policy, kept):
    async def run():
        servers = [PlayedServer("a", policy=BREAKS), PlayedServer("b", policy=BREAKS)]
        balance = balanced(*servers, policy=policy)
        await opened(servers[1], balance)
        await asyncio.sleep(2)
        assert servers[1].state() is CircuitState.HALF_OPEN
        return await served_by(balance, 5), servers[1].state()

    assert run_virtual(run()) == ([kept] * 5, CircuitState.HALF_OPEN)


@pytest.mark.parametrize("policy", [Fixed("ab"), weighted(a=1, b=0)])
def test_the_preferred_one_is_tried_again_when_its_time_is_over_and_has_its_requests_back(policy):
    async def run():
        first, second = PlayedServer("a", policy=BREAKS), PlayedServer("b")
        balance = balanced(first, second, policy=policy)
        await opened(first, balance)
        during = await served_by(balance, 3)
        await asyncio.sleep(2)
        first.seconds = 0.1
        probe = asyncio.create_task(served_by(balance, 1))
        await asyncio.sleep(0.01)
        beside = await served_by(balance, 3)
        return during, await probe, beside, await served_by(balance, 3)

    assert run_virtual(run()) == (["b"] * 3, ["a"], ["b"] * 3, ["a"] * 3)


# weighted


def test_shares_are_those_of_the_weights_whatever_the_speed():
    async def run():
        servers = [PlayedServer("a", 0.2), PlayedServer("b", 0.01), PlayedServer("c", 0.01)]
        return (await load(balanced(*servers, policy=weighted(a=3, b=1)), 4, 60))[0]

    shares = run_virtual(run())
    assert share(shares, "a") == pytest.approx(0.75, abs=0.02)
    assert shares["c"] == 0


def test_a_key_sticks_and_leaves_only_a_backend_that_is_down():
    async def run():
        servers = [PlayedServer(name) for name in "abc"]
        balance = balanced(*servers, policy=weighted(a=1, b=1, c=1))

        async def all_keys():
            return {key: (await served_by(balance, 1, headers={ROUTE_KEY: f"client-{key}"}))[0] for key in range(60)}

        before, again = await all_keys(), await all_keys()
        servers[0].endpoint.mark_down("gone")
        without = await all_keys()
        return before, again, without

    before, again, without = run_virtual(run())
    assert before == again
    assert set(before.values()) == {"a", "b", "c"}
    assert all(without[key] == name for key, name in before.items() if name != "a")
    assert {without[key] for key, name in before.items() if name == "a"} == {"b", "c"}


def test_who_has_no_weight_is_used_when_nobody_else_is_left():
    async def run():
        servers = [PlayedServer("a"), PlayedServer("b")]
        servers[0].endpoint.mark_down("gone")
        return await served_by(balanced(*servers, policy=weighted(a=1, b=0)), 3)

    assert run_virtual(run()) == ["b"] * 3


# fastest within an SLO


async def _burst(policy, slo_seconds=0.05):
    """Twenty at once, of a fast backend whose latency is known and a slow one; who got them."""
    fast, slow = PlayedServer("fast", 0.02), PlayedServer("slow", 0.2)
    balance = balanced(fast, slow, policy=policy)
    for name in ("slow", "fast"):
        await ask(balance, backend=name)
    return Counter(backend for backend, _ in await asyncio.gather(*[ask(balance) for _ in range(20)]))


def test_a_fast_backend_keeps_the_requests_as_long_as_it_meets_the_objective():
    assert run_virtual(_burst(FastestWithinSLO(0.05, 10)))["slow"] == 0
    # By cost alone, the eleventh in flight is worth the slow one, which never meets it.
    assert run_virtual(_burst(Cheapest(peak_ewma, 10)))["slow"] >= 1


def test_when_it_does_not_the_others_help():
    async def run():
        fast, slow = PlayedServer("fast", 0.02), PlayedServer("slow", 0.04)
        balance = balanced(fast, slow, policy=FastestWithinSLO(0.05, 10))
        before = (await load(balance, 1, 5))[0]
        fast.seconds = 0.3
        after = (await load(balance, 1, 5))[0]
        return share(before, "fast"), share(after, "slow")

    before, after = run_virtual(run())
    assert before > 0.9
    assert after > 0.9


def test_when_nobody_meets_it_the_likely_soonest_is_taken():
    async def run():
        servers = [PlayedServer("fast", 0.1), PlayedServer("slow", 0.5)]
        return (await load(balanced(*servers, policy=FastestWithinSLO(0.01, 10)), 1, 20))[0]

    assert share(run_virtual(run()), "fast") > 0.9


def test_equals_within_it_take_turns():
    async def run():
        servers = [PlayedServer(name, 0.02) for name in "abc"]
        return (await load(balanced(*servers, policy=FastestWithinSLO(1, 10)), 6, 10))[0]

    shares = run_virtual(run())
    assert all(share(shares, name) == pytest.approx(1 / 3, abs=0.03) for name in "abc")


def test_failing_fast_is_not_within_it():
    async def run():
        good, bad = PlayedServer("good", 0.05), PlayedServer("bad", 0.001)
        bad.fault = BackendError
        return (await load(balanced(good, bad, policy=FastestWithinSLO(0.2, 10)), 1, 60))[0]

    assert share(run_virtual(run()), "bad") < 0.02
