"""What a backend that fails or hangs gets of the requests; time is virtual."""

import asyncio

import pytest
from support.played_servers import PlayedServer, ask, balanced, load, now, opened, share
from support.virtual_time import run_virtual

from gateway.core.circuit import BreakerPolicy, CircuitState
from gateway.core.errors import (
    BackendError,
    ConnectFailed,
    ConnectionLost,
    Overloaded,
    RequestRefused,
)
from gateway.filters.policies import Cheapest, least_loaded

CLOSED, HALF_OPEN, OPEN = CircuitState
POLICY = BreakerPolicy()


@pytest.mark.parametrize("clients", [1, 8])
def test_failing_fast_attracts_nobody_even_where_no_circuit_opens(clients):
    async def run():
        good, bad = PlayedServer("good", 0.05), PlayedServer("bad", 0.05)
        balance = balanced(good, bad)
        await load(balance, clients, 5)
        bad.seconds, bad.fault = 0.001, BackendError
        first, _ = await load(balance, clients, 5)
        later, _ = await load(balance, clients, 60)
        return first, later

    first, later = run_virtual(run())
    assert first["bad"] < 100 * clients  # of five thousand that it would have had time for, for each client
    assert share(later, "bad") < 0.005


def test_a_few_failures_cost_a_few_requests():
    async def run():
        good, flaky = PlayedServer("good", 0.02), PlayedServer("flaky", 0.02)
        balance = balanced(good, flaky)
        await load(balance, 8, 5)
        flaky.fault = BackendError
        await ask(balance, backend="flaky")
        flaky.fault = None
        return share((await load(balance, 8, 10))[0], "flaky")

    assert run_virtual(run()) > 0.4


def test_a_backend_that_fails_is_out_after_five_failures():
    async def run():
        good, bad = PlayedServer("good", 0.02), PlayedServer("bad", 0.02, policy=POLICY)
        balance = balanced(good, bad)
        await load(balance, 8, 5)
        bad.fault, bad.asked = BackendError, 0
        shares, outcomes = await load(balance, 8, 60)
        return shares, outcomes["backend_error"], bad.asked, bad.state()

    shares, failures, asked, state = run_virtual(run())
    assert state is not CLOSED
    # Those under way when it broke, then one whenever it is tried again: after 1, 2, 4, 8, 16 and 32 s, or a bit less.
    assert failures == asked == shares["bad"] <= 8 + 8
    assert shares["good"] > 20_000


def test_a_hang_is_noticed_before_anything_times_out():
    async def run():
        good, hung = PlayedServer("good", 0.02), PlayedServer("hung", 0.02)
        balance = balanced(good, hung)
        await load(balance, 16, 5)
        hung.hangs, hung.asked = True, 0
        return await load(balance, 16, 30), hung.asked

    (shares, outcomes), asked = run_virtual(run())
    assert asked <= 8 + 1  # its half of what is under way, and one more that looks whether it is well again
    assert shares["good"] == outcomes["ok"] > 0.9 * 8 * 30 / 0.02


def test_what_hung_for_long_does_not_tell_against_what_came_back():
    async def run():
        good, other = PlayedServer("good", 0.02), PlayedServer("other", 0.02, policy=POLICY, timeout=60)
        balance = balanced(good, other)
        await load(balance, 16, 5)
        other.hangs = True
        stuck = [asyncio.create_task(ask(balance, backend="other")) for _ in range(6)]
        await asyncio.sleep(1)
        other.endpoint.mark_down("restarted")
        other.hangs = False
        await asyncio.sleep(1)
        other.endpoint.mark_healthy()
        await load(balance, 16, 48)
        before = other.endpoint.latency.estimate(now())
        outcomes = [outcome for _, outcome in await asyncio.gather(*stuck)]
        after = other.endpoint.latency.estimate(now())
        return outcomes, before, after

    outcomes, before, after = run_virtual(run())
    assert outcomes == ["attempt_timeout"] * 6
    assert before < 0.03
    assert after < 0.03


def test_a_circuit_that_is_open_leaves_all_to_the_other_until_one_request_has_tried():
    async def run():
        other, broken = PlayedServer("other", 0.02), PlayedServer("broken", 0.5, policy=POLICY)
        balance = balanced(other, broken)
        await opened(broken, balance)
        broken.asked = 0
        while broken.state() is OPEN:
            assert await ask(balance) == ("other", "ok")
        burst = [asyncio.create_task(ask(balance)) for _ in range(10)]
        await asyncio.sleep(0.4)
        states = [broken.state()]
        backends = [backend for backend, _ in await asyncio.gather(*burst)]
        states.append(broken.state())
        return backends, states, broken.asked

    backends, states, asked = run_virtual(run())
    assert backends.count("broken") == asked == 1
    assert states == [HALF_OPEN, CLOSED]


def test_a_probe_that_nobody_waits_for_any_more_leaves_its_place_to_the_next():
    async def run():
        other, broken = PlayedServer("other"), PlayedServer("broken", policy=POLICY)
        balance = balanced(other, broken)
        await opened(broken, balance)
        await asyncio.sleep(1)
        broken.hangs = True
        probe = asyncio.create_task(ask(balance))
        await asyncio.sleep(1)
        probe.cancel()
        await asyncio.wait([probe])
        broken.hangs = False
        return broken.state(), await ask(balance), broken.state()

    assert run_virtual(run()) == (HALF_OPEN, ("broken", "ok"), CLOSED)


def test_a_request_that_has_failed_once_is_not_risked_again():
    async def run():
        servers = [PlayedServer("first"), PlayedServer("second"), PlayedServer("broken", policy=POLICY)]
        balance = balanced(*servers)
        await opened(servers[2], balance)
        await asyncio.sleep(1)
        return await ask(balance, tried=("first",)), await ask(balance)

    assert run_virtual(run()) == (("second", "ok"), ("broken", "ok"))


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_when_all_circuits_are_open_none_is(names):
    async def run():
        servers = [PlayedServer(name, 0.01, policy=POLICY) for name in names]
        balance = balanced(*servers)
        for server in servers:
            await opened(server, balance)
        states = [server.state() for server in servers]
        answers = await asyncio.gather(*[ask(balance) for _ in range(30)])
        return states, answers, [server.state() for server in servers]

    states, answers, after = run_virtual(run())
    assert states == [OPEN] * len(names)
    assert {outcome for _, outcome in answers} == {"ok"}
    assert {backend for backend, _ in answers} == set(names)
    assert after == [CLOSED] * len(names)


def test_when_all_circuits_are_open_the_first_answer_closes_its_own():
    async def run():
        well, broken = (PlayedServer(name, 0.01, policy=POLICY) for name in ("well", "broken"))
        balance = balanced(well, broken)
        for server in (well, broken):
            await opened(server, balance)
        await ask(balance, backend="well")  # who is named is asked whatever its state, so that says nothing
        named = well.state()
        broken.fault = BackendError
        while well.state() is OPEN:
            await ask(balance)
        broken.asked = 0
        answers = [await ask(balance) for _ in range(10)]
        return named, broken.state(), broken.asked, answers

    named, state, asked, answers = run_virtual(run())
    assert (named, state, asked) == (OPEN, OPEN, 0)
    assert answers == [("well", "ok")] * 10


def test_after_an_outage_of_all_everything_is_as_before():
    async def run():
        servers = [PlayedServer(name, 0.02, policy=POLICY) for name in "ab"]
        balance = balanced(*servers)
        await load(balance, 8, 5)
        for server in servers:
            server.fault = BackendError
        _, during = await load(balance, 8, 20)
        for server in servers:
            server.fault = None
        _, at_once = await load(balance, 8, 5)
        await load(balance, 8, 60)
        shares, later = await load(balance, 8, 5)
        return during, at_once, later, share(shares, "a"), [server.state() for server in servers]

    during, at_once, later, evenly, states = run_virtual(run())
    assert set(during) == {"backend_error"}  # and not one refusal of ours
    assert set(at_once) == set(later) == {"ok"}
    assert evenly == pytest.approx(0.5, abs=0.05)
    assert states == [CLOSED, CLOSED]


def test_a_suspect_is_avoided_until_its_next_check():
    async def run():
        steady, shaky = PlayedServer("steady", 0.02), PlayedServer("shaky", 0.02)
        balance = balanced(steady, shaky)
        await load(balance, 8, 5)
        shaky.fault = ConnectionLost
        assert await ask(balance, backend="shaky") == ("shaky", "connection_lost")
        shaky.fault = None
        avoided, _ = await load(balance, 8, 1)
        nobody_else = (await ask(balance, tried=("steady",)))[0]
        shaky.endpoint.mark_healthy()
        checked, _ = await load(balance, 8, 1)
        return share(avoided, "shaky"), nobody_else, share(checked, "shaky")

    avoided, nobody_else, checked = run_virtual(run())
    assert avoided == 0
    assert nobody_else == "shaky"
    assert checked > 0.3


def test_a_suspect_is_better_than_one_whose_circuit_is_open():
    async def run():
        suspect, broken = PlayedServer("suspect", 0), PlayedServer("broken", 0, policy=POLICY)
        balance = balanced(suspect, broken, policy=Cheapest(least_loaded, 10))
        await opened(broken, balance)
        suspect.endpoint.suspect = True
        return {(await ask(balance))[0] for _ in range(4)}

    assert run_virtual(run()) == {"suspect"}


def test_a_refused_connection_takes_the_backend_out_at_once():
    async def run():
        up, gone = PlayedServer("up", 0), PlayedServer("gone", 0)
        balance = balanced(up, gone)
        gone.fault = ConnectFailed
        outcomes = [await ask(balance) for _ in range(6)]
        return outcomes.count(("gone", "connect_failed")), outcomes.count(("up", "ok")), gone.endpoint.problem

    assert run_virtual(run()) == (1, 5, "connection refused")


def test_a_full_queue_sends_others_elsewhere_and_opens_nothing():
    async def run():
        calm, full = PlayedServer("calm", 0.05), PlayedServer("full", 0.001, policy=POLICY)
        balance = balanced(calm, full)
        full.fault = Overloaded
        shares, _ = await load(balance, 4, 30)
        return share(shares, "full"), full.state()

    part, state = run_virtual(run())
    assert part < 0.3
    assert state is CLOSED


def test_the_clients_own_fault_is_nobody_elses():
    async def run():
        one, two = PlayedServer("one", 0.02, policy=POLICY), PlayedServer("two", 0.02, policy=POLICY)
        balance = balanced(one, two)
        await load(balance, 4, 5)
        one.fault = RequestRefused
        for _ in range(20):
            await ask(balance, backend="one")
        one.fault = None
        return one.state(), share((await load(balance, 4, 5))[0], "one")

    state, part = run_virtual(run())
    assert state is CLOSED
    assert part == pytest.approx(0.5, abs=0.05)
