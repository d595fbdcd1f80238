"""A gate in virtual time, and requests that stay inside until they are told to leave."""

import asyncio
import functools

from gateway.core.clients import Clients
from gateway.core.criticality import Criticality
from gateway.core.gate import Gate, GateLimits
from gateway.core.messages import RequestContext
from support.virtual_time import run_virtual


class Recorder:
    def __init__(self):
        self.waits, self.reasons = [], []

    def waited(self, seconds):
        self.waits.append(seconds)

    def refused(self, reason, criticality):
        self.reasons.append((reason, criticality))


class Scene:
    """A gate of a fixed limit, and requests that are held inside until they are told to leave.

    Attributes:
        late: seconds that the event loop was busy, which the clock of the gate has and virtual time has not.
    """

    def __init__(self, limit=2, *, queue=10, wait=0.1, sheddable=0.5, most=None, weights=None):
        self.recorder = Recorder()
        self.limits = GateLimits(least=limit, most=most or limit, queue=queue, wait=wait, sheddable=sheddable)
        clients = Clients("x-gateway-client", weights or {})
        self.gate = Gate("m", self.limits, clients, self.recorder, lambda: 0, self.clock)
        self.inside, self.order, self.began = {}, [], {}
        self.late = 0.0

    def clock(self):
        return asyncio.get_running_loop().time() + self.late

    def ask(self, name, criticality=Criticality.DEFAULT, client="", **context):
        """A task that ends when its request has left, or is refused."""
        headers = {b"x-gateway-client": client.encode()}
        return asyncio.create_task(self._ask(name, RequestContext("t", headers=headers, **context), criticality))

    async def _ask(self, name, context, criticality):
        gate = self.gate
        began = self.clock() if gate.enter(criticality) else await gate.wait(context, criticality)
        self.order.append(name)
        self.began[name], ended = began, self.inside.setdefault(name, asyncio.Event())
        try:
            await ended.wait()
        except asyncio.CancelledError:
            gate.leave()
            raise
        finally:
            del self.inside[name]
        gate.answered(self.clock() - began, self.clock())
        return context

    async def let_out(self, name):
        self.inside[name].set()
        await settled()

    async def all_out(self):
        while self.inside or self.gate.waiting:
            for ended in list(self.inside.values()):
                ended.set()
            await settled()


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


def scene(test):
    """Run a test, a coroutine, in virtual time."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        run_virtual(test(*args, **kwargs))

    return run
