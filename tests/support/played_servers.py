"""A balanced model whose servers play their part on the event loop's clock, real or virtual."""

import asyncio
from collections import Counter
from random import Random

from gateway.core.backend import Endpoint
from gateway.core.capabilities import EVERYTHING
from gateway.core.circuit import BreakerPolicy, Circuit
from gateway.core.errors import AttemptTimeout, BackendError, GatewayError, outcome_of
from gateway.core.messages import RequestContext
from gateway.filters.balance import Balance
from gateway.filters.breaker import Breaker
from gateway.filters.policies import Candidate, Cheapest, peak_ewma
from support.services import echo, request

NEVER = BreakerPolicy(failures=10**9, success_rate=0)


def now():
    return asyncio.get_running_loop().time()


class PlayedServer:
    """Answers after ``seconds``, or raises a ``fault``; hangs while ``hangs``, until the attempt's ``timeout``.

    ``endpoint`` is healthy from the start; ``asked`` counts requests.
    """

    def __init__(self, name, seconds=0.001, *, policy=NEVER, timeout=60.0):
        self.capabilities = EVERYTHING
        self.seconds = seconds
        self.timeout = timeout
        self.fault = None
        self.hangs = False
        self.asked = 0
        self.endpoint = Endpoint(name, "m", circuit=Circuit(policy, Random(1).random), clock=now)
        self.endpoint.mark_healthy()

    async def __call__(self, message):
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(self.timeout)
            raise AttemptTimeout("no answer in time")
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise self.fault("as told")
        return echo(message)

    def state(self):
        return self.endpoint.circuit.state(now())


def balanced(*servers, policy=None):
    """The balance above ``servers``, each behind its breaker; ``policy`` is the default one with its slow start."""
    candidates = [Candidate(each.endpoint, each, Breaker(each, each.endpoint)) for each in servers]
    return Balance("m", candidates, policy or Cheapest(peak_ewma, 10), clock=now)


async def ask(service, **context):
    """The backend that was asked, and how that ended."""
    message = request(context=RequestContext("test", **context))
    error = None
    try:
        await service(message)
    except GatewayError as raised:
        error = raised
    return message.context.served_by, outcome_of(error)


async def opened(server, balance):
    """Fail on ``server`` until its circuit opens; it is well afterwards."""
    server.fault = BackendError
    while server.endpoint.circuit.closed:
        await ask(balance, backend=server.endpoint.backend)
    server.fault = None


async def load(service, clients, seconds):
    """Let ``clients`` ask for ``seconds``, each its next as soon as it has an answer; counts backends and outcomes."""
    ends = now() + seconds
    shares, outcomes = Counter(), Counter()

    async def client():
        while now() < ends:
            backend, outcome = await ask(service)
            shares[backend] += 1
            outcomes[outcome] += 1

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    await asyncio.wait(tasks, timeout=seconds + 1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return shares, outcomes


def share(shares, name):
    """The part of all requests that went to the backend ``name``."""
    return shares[name] / shares.total()
