"""How a backend that comes back, or comes and goes, gets its requests again; time is virtual."""

import asyncio
import itertools

import pytest
from support.played_servers import PlayedServer, ask, balanced, load, now, opened, share
from support.virtual_time import run_virtual

from gateway.core.circuit import BreakerPolicy, CircuitState
from gateway.filters.policies import Cheapest, peak_ewma

CLOSED, HALF_OPEN, OPEN = CircuitState
POLICY = BreakerPolicy()


@pytest.mark.parametrize(("slow_start", "expected"), [(10, [0.09, 0.2, 0.33, 0.42, 0.48, 0.5]), (0, [0.5] * 6)])
def test_the_share_of_one_that_comes_back_grows(slow_start, expected):
    async def run():
        steady, back = PlayedServer("steady", 0.05), PlayedServer("back", 0.05)
        balance = balanced(steady, back, policy=Cheapest(peak_ewma, slow_start))
        await load(balance, 64, 2)
        back.endpoint.mark_down("gone")
        assert share((await load(balance, 64, 2))[0], "back") == 0
        back.endpoint.mark_healthy()
        return [share((await load(balance, 64, 2))[0], "back") for _ in range(6)]

    assert run_virtual(run()) == pytest.approx(expected, abs=0.04)


def test_what_is_there_from_the_start_does_not_start_slowly():
    async def run():
        servers = [PlayedServer("a", 0.05), PlayedServer("b", 0.05)]
        servers[1].endpoint.mark_healthy()
        return share((await load(balanced(*servers), 16, 2))[0], "b")

    assert run_virtual(run()) == pytest.approx(0.5, abs=0.02)


def test_a_closed_circuit_lets_the_requests_return_slowly():
    async def run():
        steady, broken = PlayedServer("steady", 0.05), PlayedServer("broken", 0.05, policy=POLICY)
        balance = balanced(steady, broken)
        await opened(broken, balance)
        await asyncio.sleep(1)
        assert await ask(balance) == ("broken", "ok")
        shares = [share((await load(balance, 64, 2))[0], "broken") for _ in range(6)]
        return shares, now()

    shares, _ = run_virtual(run())
    assert shares == sorted(shares)
    assert shares[0] < 0.15
    assert shares[-1] == pytest.approx(0.5, abs=0.02)


def test_one_that_comes_and_goes_gets_little():
    async def run():
        steady, flapping = PlayedServer("steady", 0.05), PlayedServer("flapping", 0.05)
        balance = balanced(steady, flapping)
        parts = []
        for _ in range(10):
            flapping.endpoint.mark_down("gone")
            await load(balance, 16, 1)
            flapping.endpoint.mark_healthy()
            parts.append(share((await load(balance, 16, 1))[0], "flapping"))
        return max(parts)

    assert run_virtual(run()) < 0.15


def test_one_that_fails_whenever_it_is_trusted_is_trusted_ever_less_often():
    async def run():
        steady, flapping = PlayedServer("steady", 0.05), PlayedServer("flapping", 0.05, policy=POLICY)
        balance = balanced(steady, flapping)
        openings = []
        while now() < 120:
            await opened(flapping, balance)
            openings.append(now())
            while flapping.state() is not CLOSED:  # well as long as it is not trusted
                await ask(balance)
        return [later - earlier for earlier, later in itertools.pairwise(openings)]

    pauses = run_virtual(run())
    assert pauses == sorted(pauses)
    assert pauses[0] < 3
    assert pauses[-1] > 30


def test_a_restarted_backend_is_tried_as_soon_as_it_is_healthy():
    async def run():
        steady, broken = (
            PlayedServer("steady", 0.05),
            PlayedServer("broken", 0.05, policy=BreakerPolicy(backoff=(60, 60))),
        )
        balance = balanced(steady, broken)
        await opened(broken, balance)
        broken.endpoint.mark_healthy()  # as every second: it says nothing of requests
        before = broken.state()
        broken.endpoint.mark_down("connection refused")
        broken.endpoint.mark_healthy()
        return before, broken.state(), await ask(balance), broken.state()

    assert run_virtual(run()) == (OPEN, HALF_OPEN, ("broken", "ok"), CLOSED)
