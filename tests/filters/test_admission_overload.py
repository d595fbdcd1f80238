"""Overload in virtual time: three times as many requests as a backend can answer, from clients whose patience ends."""

import asyncio
import gc
import random
from collections import Counter

import pytest
from support.virtual_time import run_virtual

from gateway.core.clients import Clients
from gateway.core.errors import DeadlineExceeded, Overloaded
from gateway.core.gate import Gate, GateLimits
from gateway.core.messages import InferRequest, RequestContext
from gateway.filters.admission import Admission
from gateway.filters.turnstile import Turnstile

SERVERS, EACH = 8, 0.02
CAPACITY = SERVERS / EACH


class Backend:
    """Works on SERVERS requests at once; what comes beyond them waits for as long as it takes."""

    def __init__(self, draw):
        self.free = asyncio.Semaphore(SERVERS)
        self.draw = draw

    async def __call__(self, message):
        async with self.free:
            await asyncio.sleep(EACH * self.draw.uniform(0.5, 1.5))
            return "answer"


class Recorder:
    def __init__(self):
        self.refusals = Counter()

    def waited(self, seconds):
        pass

    def refused(self, reason, criticality):
        self.refusals[criticality] += 1


class Overload:
    """Clients that come when they like, each with a second of patience."""

    def __init__(self, *, admission=True, early=True):
        loop, self.draw = asyncio.get_running_loop(), random.Random(1)
        backend = Backend(self.draw)
        limits = GateLimits(least=4, most=1000, queue=1000, wait=0.1, sheddable=0.5)
        self.recorder = Recorder()
        self.gate = Gate("m", limits, Clients("x-gateway-client", {}), self.recorder, lambda: 0, loop.time)
        self.service = Admission(backend, self.gate, loop.time) if admission else backend
        if admission and early:
            self.service = Turnstile(self.service, self.gate)
        self.ended = []  # when, how, and after how long
        self.under_way, self.most_waiting, self.sent = set(), 0, 0

    async def offer(self, rate, seconds, headers=()):
        """Requests at random moments, ``rate`` a second."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(self.draw.expovariate(rate))
            self.sent += 1
            task = asyncio.create_task(self._ask(dict(headers)))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)
            self.most_waiting = max(self.most_waiting, self.gate.waiting)

    async def _ask(self, headers):
        loop = asyncio.get_running_loop()
        began = loop.time()
        message = InferRequest("m", (), RequestContext("test", headers=headers, deadline=began + 1))
        try:
            async with asyncio.timeout_at(began + 1):
                await self.service(message)
            outcome = "ok"
        except Overloaded:
            outcome = "refused"
        except (TimeoutError, DeadlineExceeded):
            outcome = "late"
        self.ended.append((loop.time(), outcome, loop.time() - began))

    def goodput(self, start, end):
        return sum(outcome == "ok" and start <= when < end for when, outcome, _ in self.ended) / (end - start)

    def p99(self, start, end):
        took = sorted(seconds for when, outcome, seconds in self.ended if outcome == "ok" and start <= when < end)
        return took[int(0.99 * len(took))]

    async def drained(self):
        while self.under_way:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("early", [True, False])
def test_three_times_the_capacity(early):
    async def run():
        overload = Overload(early=early)
        await overload.offer(0.95 * CAPACITY, 5)
        await overload.offer(3 * CAPACITY, 20)
        await overload.offer(0.8 * CAPACITY, 4)
        await overload.drained()
        assert overload.goodput(5, 25) >= 0.9 * CAPACITY
        assert overload.p99(7, 25) <= 2 * overload.p99(1, 5)
        outcomes = Counter(outcome for _, outcome, _ in overload.ended)
        assert outcomes.total() == overload.sent
        assert outcomes["refused"] == overload.recorder.refusals.total()
        assert outcomes["late"] <= 0.01 * overload.sent
        assert overload.most_waiting < 3 * CAPACITY * 0.15
        after = [(outcome, seconds) for when, outcome, seconds in overload.ended if when >= 27]
        assert sum(outcome != "ok" for outcome, _ in after) <= 0.02 * len(after)
        assert overload.p99(27, 35) <= overload.p99(1, 5)
        assert (overload.gate.in_flight, overload.gate.waiting) == (0, 0)

    run_virtual(run())


def test_without_admission_hardly_anybody_is_answered():
    async def run():
        overload = Overload(admission=False)
        await overload.offer(3 * CAPACITY, 5)
        await overload.drained()
        assert overload.goodput(3, 5) < 0.5 * CAPACITY

    run_virtual(run())


def test_what_is_critical_gets_through_and_what_is_sheddable_goes_first():
    async def run():
        overload = Overload()
        shares = {"critical": 0.3, "default": 0.5, "sheddable": 2.0}
        loads = [
            overload.offer(share * CAPACITY, 6, [(b"x-gateway-priority", name.encode())])
            for name, share in shares.items()
        ]
        await asyncio.gather(*loads)
        await overload.drained()
        refused = {name: overload.recorder.refusals[name] / (6 * CAPACITY * share) for name, share in shares.items()}
        assert refused["critical"] < 0.01
        assert refused["default"] < 0.15
        assert refused["sheddable"] > 0.7
        assert overload.goodput(2, 6) >= 0.85 * CAPACITY

    run_virtual(run())


@pytest.mark.parametrize("patience", ["wait", "leave"])
def test_a_greedy_client_takes_nothing_from_a_modest_one(patience):
    async def run():
        overload = Overload()
        answered = Counter()

        async def one(client, pause):
            message = InferRequest("m", (), RequestContext("test", headers={b"x-gateway-client": client.encode()}))
            for _ in range(10_000):
                try:
                    await overload.service(message)
                    answered[client] += 1
                except Overloaded:
                    await asyncio.sleep(pause)

        tasks = [asyncio.create_task(one("greedy", 0.01)) for _ in range(100)]
        tasks += [asyncio.create_task(one("modest", 0.01)) for _ in range(10)]
        await asyncio.sleep(4)
        if patience == "leave":
            for task in tasks[:50]:
                task.cancel()
            await asyncio.sleep(2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert answered["modest"] >= 0.2 * answered.total()  # a tenth of the tasks
        assert (overload.gate.in_flight, overload.gate.waiting) == (0, 0)

    run_virtual(run())
    gc.collect()
