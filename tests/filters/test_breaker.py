"""What the breaker makes of how an attempt ends; time is virtual."""

import asyncio

import pytest
from support.services import Recording, request
from support.virtual_time import run_virtual

from gateway.core.backend import Endpoint
from gateway.core.capabilities import EVERYTHING
from gateway.core.circuit import BreakerPolicy, Circuit, CircuitState
from gateway.core.errors import (
    AttemptTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    QueueTimeout,
    RequestRefused,
    Unavailable,
    Unsupported,
)
from gateway.filters.balance import Balance
from gateway.filters.breaker import Breaker
from gateway.filters.policies import Candidate, Cheapest, peak_ewma

CLOSED, HALF_OPEN, OPEN = CircuitState


class Carrier:
    capabilities = EVERYTHING


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def endpoint(clock):
    endpoint = Endpoint("b", "m", circuit=Circuit(BreakerPolicy(), lambda: 0.0), clock=clock)
    endpoint.mark_healthy()
    return endpoint


def attempt(endpoint, *answers):
    async def run():
        breaker = Breaker(Recording(*answers), endpoint)
        for answer in answers:
            if isinstance(answer, BaseException):
                with pytest.raises(type(answer)):
                    await breaker(request())
            else:
                await breaker(request())

    run_virtual(run())


def state(endpoint):
    return endpoint.circuit.state(endpoint.clock())


@pytest.mark.parametrize(
    "error",
    [ConnectFailed, ConnectionLost, AttemptTimeout, BackendError, Unavailable, ModelNotFound, ZeroDivisionError],
)
def test_five_failures_in_a_row_open_the_circuit(endpoint, error):
    attempt(endpoint, *[error("x") for _ in range(4)])
    assert state(endpoint) is CLOSED
    attempt(endpoint, error("x"))
    assert state(endpoint) is OPEN


@pytest.mark.parametrize(
    "error",
    [
        RequestRefused,
        InvalidRequest,
        PayloadTooLarge,
        Unsupported,
        Overloaded,
        QueueTimeout,
        DeadlineExceeded,
        asyncio.CancelledError,
    ],
)
def test_what_is_not_the_backends_fault_counts_neither_way(endpoint, error):
    attempt(endpoint, *[error("x") for _ in range(50)])
    assert state(endpoint) is CLOSED
    attempt(endpoint, *[BackendError("x") for _ in range(4)], error("x"), BackendError("x"))
    assert state(endpoint) is OPEN


def test_a_success_closes_a_half_open_circuit_and_starts_slowly(endpoint, clock):
    latency = endpoint.latency
    attempt(endpoint, *[BackendError("x")] * 5)
    attempt(endpoint, "answer")  # of somebody who named the backend, before its time
    assert state(endpoint) is OPEN
    clock.now = 1.0
    assert state(endpoint) is HALF_OPEN
    attempt(endpoint, RequestRefused("x"))
    assert state(endpoint) is HALF_OPEN
    attempt(endpoint, "answer")
    assert state(endpoint) is CLOSED
    assert endpoint.came_back_at == 1.0
    assert endpoint.latency is not latency


def test_a_refusal_takes_it_down_and_a_lost_connection_makes_it_suspect(endpoint):
    attempt(endpoint, ConnectionLost("x"))
    assert endpoint.suspect
    assert endpoint.healthy
    attempt(endpoint, ConnectFailed("x"))
    assert (endpoint.healthy, endpoint.problem) == (False, "connection refused")


def test_what_many_requests_share_counts_once(endpoint):
    async def run():
        shared = asyncio.ensure_future(Breaker(Recording(BackendError("x")), endpoint)(request()))

        async def batch(_):
            return await shared

        balance = Balance("m", [Candidate(endpoint, Carrier(), batch)], Cheapest(peak_ewma, 10))
        return await asyncio.gather(*[balance(request()) for _ in range(64)], return_exceptions=True)

    assert {type(answer) for answer in run_virtual(run())} == {BackendError}
    assert state(endpoint) is CLOSED


def test_an_attempt_that_began_before_the_circuit_opened_says_nothing_of_it_now(endpoint, clock):
    async def run():
        hung = asyncio.Event()

        async def hangs(_):
            await hung.wait()
            raise AttemptTimeout("x")

        breaker = Breaker(hangs, endpoint)
        stuck = [asyncio.create_task(breaker(request())) for _ in range(20)]
        await asyncio.sleep(0)
        breaker.inner = Recording(*[BackendError("x") for _ in range(5)])
        for _ in range(5):
            with pytest.raises(BackendError):
                await breaker(request())
        clock.now = 1.0
        await breaker(request())
        assert state(endpoint) is CLOSED
        hung.set()
        await asyncio.wait(stuck)
        for task in stuck:
            assert isinstance(task.exception(), AttemptTimeout)

    run_virtual(run())
    assert state(endpoint) is CLOSED
