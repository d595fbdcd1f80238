"""When all health checks of a model time out at once; time is virtual."""

import asyncio

import pytest
from support.played_servers import PlayedServer, ask, balanced
from support.virtual_time import run_virtual

from gateway.backends.health import HealthChecker
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.circuit import BreakerPolicy
from gateway.core.errors import ConnectFailed
from gateway.core.signatures import Signature

TIMEOUT = 2.0


class Checked(PlayedServer):
    """Its health check passes, takes for ever (``slow``) or is refused (``refused``)."""

    health = "fine"

    async def check(self, model, version):
        if self.health == "slow":
            await asyncio.sleep(3600)
        if self.health == "refused":
            raise ConnectFailed("refused")


def stack(*names, **settings):
    """Servers, the balance above them, and a function that checks them and sets what the next checks find."""
    servers = [Checked(name, **settings) for name in names]
    model = ServedModel("m", "1", "", Signature((), ()), 0, (), tuple(server.endpoint for server in servers))
    backends = {server.endpoint.backend: server for server in servers}
    checker = HealthChecker(Catalog([model]), backends, timeout=TIMEOUT, on_check=lambda _: None)

    async def check(*healths):
        for server, health in zip(servers, healths, strict=True):
            server.health = health
        await checker.check_all()

    return servers, balanced(*servers), check


def test_all_are_used_when_nothing_but_slow_checks_speaks_against_them():
    async def run():
        _, balance, check = stack("a", "b")
        await check("slow", "slow")
        return {await ask(balance) for _ in range(4)}

    assert run_virtual(run()) == {("a", "ok"), ("b", "ok")}


def test_one_that_is_healthy_gets_everything():
    async def run():
        _, balance, check = stack("a", "b")
        await check("slow", "fine")
        return {await ask(balance) for _ in range(4)}, await ask(balance, tried=("b",))

    assert run_virtual(run()) == ({("b", "ok")}, ("", "no_healthy_backend"))


def test_one_that_refuses_connections_is_left_out():
    async def run():
        servers, balance, check = stack("a", "b")
        await check("slow", "refused")
        first = {await ask(balance) for _ in range(4)}
        servers[0].endpoint.mark_down("connection refused")  # as the breaker does
        second = await ask(balance)
        await check("slow", "slow")
        return first, second, await ask(balance)

    gone = ("", "no_healthy_backend")
    assert run_virtual(run()) == ({("a", "ok")}, gone, gone)


def test_one_that_has_never_been_healthy_is_left_out():
    async def run():
        servers, balance, check = stack("a")
        servers[0].endpoint.mark_down("not checked yet")
        await check("slow")
        return await ask(balance)

    assert run_virtual(run())[1] == "no_healthy_backend"


def test_one_that_does_not_answer_requests_either_is_out_by_its_circuit():
    async def run():
        servers, balance, check = stack("a", policy=BreakerPolicy(failures=2), timeout=1.0)
        await check("slow")
        servers[0].hangs = True
        return [(await ask(balance))[1] for _ in range(3)]

    assert run_virtual(run()) == ["attempt_timeout", "attempt_timeout", "no_healthy_backend"]


def test_a_retry_goes_to_the_other_one():
    async def run():
        _, balance, check = stack("a", "b")
        await check("slow", "slow")
        return await ask(balance, tried=("a",))

    assert run_virtual(run()) == ("b", "ok")


@pytest.mark.parametrize(("seconds", "outcome"), [(29, "ok"), (31, "no_healthy_backend")])
def test_half_a_minute_later_it_is_gone(seconds, outcome):
    async def run():
        _, balance, check = stack("a")
        await check("slow")
        await asyncio.sleep(seconds - TIMEOUT)
        await check("slow")
        return (await ask(balance))[1]

    assert run_virtual(run()) == outcome
