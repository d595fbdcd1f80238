"""What a health check does to an endpoint that was in trouble; test_backends.py has the checks themselves."""

import asyncio

import pytest

from gateway.backends.health import HealthChecker
from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.circuit import CircuitState
from gateway.core.errors import Unavailable
from gateway.core.signatures import Signature

CLOSED, HALF_OPEN, OPEN = CircuitState


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Server:
    problem = None

    async def check(self, model, version):
        if self.problem:
            raise self.problem


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def endpoint(clock):
    return Endpoint("b", "m", clock=clock)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def check(endpoint, server):
    catalog = Catalog([ServedModel("m", "1", "", Signature((), ()), 0, (), (endpoint,))])
    checker = HealthChecker(catalog, {"b": server}, timeout=1, on_check=lambda _: None)
    return lambda: asyncio.run(checker.check_all())


def open_circuit(endpoint):
    while endpoint.circuit.closed:
        endpoint.circuit.failed(endpoint.circuit.generation, endpoint.clock())


def test_the_first_check_is_no_return(endpoint, check):
    latency = endpoint.latency
    check()
    assert endpoint.healthy
    assert endpoint.came_back_at < 0
    assert endpoint.latency is latency


@pytest.mark.parametrize("problem", ["connection refused", None])
def test_a_check_that_passes_again_is_a_return(endpoint, server, check, clock, problem):
    check()
    latency = endpoint.latency
    if problem:
        endpoint.mark_down(problem)
    else:
        server.problem = Unavailable("no model")
        check()
        server.problem = None
    assert not endpoint.healthy
    clock.now = 107.0
    check()
    assert endpoint.healthy
    assert endpoint.came_back_at == 107.0
    assert endpoint.latency is not latency
    clock.now = 108.0
    check()
    assert endpoint.came_back_at == 107.0  # only once


def test_a_server_that_was_not_there_at_the_start_returns_too(endpoint, server, check):
    server.problem = Unavailable("not yet")
    check()
    server.problem = None
    check()
    assert endpoint.came_back_at == 100.0


def test_a_check_that_passes_ends_suspicion_and_leaves_the_circuit(endpoint, check, clock):
    check()
    endpoint.suspect = True
    open_circuit(endpoint)
    check()
    assert not endpoint.suspect
    assert endpoint.circuit.state(clock()) is OPEN


def test_a_return_lets_an_open_circuit_try_at_once(endpoint, check, clock):
    check()
    open_circuit(endpoint)
    endpoint.mark_down("connection refused")
    check()
    assert endpoint.circuit.state(clock()) is HALF_OPEN


def test_what_has_to_be_described_anew_has_not_returned(endpoint, check, clock):
    endpoint.learned = True
    check()
    endpoint.mark_down("gone")
    clock.now = 105.0
    check()
    assert not endpoint.healthy
    assert endpoint.came_back_at < 0
    endpoint.stale = False
    clock.now = 106.0
    check()
    assert (endpoint.healthy, endpoint.came_back_at) == (True, 106.0)
