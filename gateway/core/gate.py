"""Lets in as many requests as the backends of a model can use; the others wait for a moment, and are refused then.

What is refused at once costs nothing; what waits in a backend for longer than its client costs as much as an answer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.core.clients import Clients
from gateway.core.concurrency_limit import ConcurrencyLimit
from gateway.core.criticality import Criticality
from gateway.core.errors import GatewayError, Overloaded, QueueTimeout
from gateway.core.fair_queue import FairQueue, Turn
from gateway.core.messages import RequestContext
from gateway.core.place_times import PlaceTimes
from gateway.core.tracing import child_span

# Who is refused before it waits has so many times as many before it as have their turn in the time that it may wait.
_IN_VAIN = 1.5
# While there is a standing queue, a request waits at most for so much of a usual answer's time, and at least so long.
_SHARE_OF_ANSWER = 0.5
_SHORTEST_WAIT = 0.005

_EXPLANATIONS = {
    "full": "as many requests wait as may",
    "displaced": "more important requests wait",
    "wait": "its turn did not come in time",
    "deadline": "the request's deadline cannot be met",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class GateLimits:
    """Bounds for one model.

    Attributes:
        least, most: requests under way; what is best between them is found.
        queue: requests that may wait.
        wait: seconds that one may wait, at most.
        sheddable: share of the limit that sheddable requests may have.
    """

    least: int
    most: int
    queue: int
    wait: float
    sheddable: float


class GateRecorder(Protocol):
    """Where the measurements of one model go."""

    def waited(self, seconds: float) -> None:
        """One request is let in that had to wait for so long."""

    def refused(self, reason: str, criticality: str) -> None:
        """One may not: ``full``, ``displaced`` by a better one, ``wait`` was too long, ``deadline`` is too near."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Turn(Turn):
    """A request that waits for its ``admission``, which is when it has its place."""

    admission: asyncio.Future[float]


class Gate:
    """Stands before all backends of one version of a model, called ``name`` in messages.

    ``appetite`` says how many requests they have use for at least, as far as the gateway's own batching knows.

    Attributes:
        in_flight: requests that have been let in and have not left.
    """

    __slots__ = (
        "__weakref__",
        "_appetite",
        "_clients",
        "_clock",
        "_free_at",
        "_limit",
        "_limits",
        "_name",
        "_queue",
        "_recorder",
        "_times",
        "in_flight",
    )

    def __init__(
        self,
        name: str,
        limits: GateLimits,
        clients: Clients,
        recorder: GateRecorder,
        appetite: Callable[[], int],
        clock: Callable[[], float] = time.perf_counter,  # the loop's own counts milliseconds
    ) -> None:
        self._name = name
        self._limits = limits
        self._clients = clients
        self._recorder = recorder
        self._clock = clock
        self._appetite = appetite
        self._limit = ConcurrencyLimit(limits.least, limits.most, self._wanted)
        self._queue: FairQueue[_Turn] = FairQueue(self._weight)
        self._times = PlaceTimes()
        # For each criticality: when nobody as critical waited, the last time that one began to wait.
        self._free_at = [0.0 for _ in Criticality]
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """Requests that may be under way now: what the backends can use, and what waits for this process meanwhile.

        With how many of those its event loop can do is not the gate's business; see ``Crowding``.
        """
        limit = self._limit.limit
        return max(limit, min(self._times.enough(limit), self._limits.most))

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._queue)

    @property
    def patience(self) -> float:
        """How long one may wait in a queue that does not pass, in seconds."""
        return min(self._limits.wait, max(_SHORTEST_WAIT, self._times.usual * _SHARE_OF_ANSWER))

    def adopt(self, limits: GateLimits, clients: Clients, appetite: Callable[[], int]) -> None:
        """Obey other settings from now on; who is in stays, and who waits goes on to wait or is let in."""
        if (limits.least, limits.most) != (self._limits.least, self._limits.most):
            self._limit = ConcurrencyLimit(limits.least, limits.most, self._wanted)
        self._limits, self._clients, self._appetite = limits, clients, appetite
        self._fill()

    def enter(self, criticality: Criticality) -> bool:
        """Let a request in that need not wait; False for one that has to.

        Whoever is in leaves by one of ``answered``, ``exceeded`` and ``leave``.
        """
        if self.in_flight >= self._share(criticality):  # as long as somebody as critical waits, it is
            return False
        self.in_flight += 1
        return True

    def answered(self, seconds: float, now: float) -> None:
        """One that had its place for so many seconds leaves with a good answer, at ``now`` on the gate's clock."""
        self._times.answered(seconds)
        crowded = self.in_flight >= self.limit or bool(self._queue)
        self._limit.answered(seconds, now, crowded=crowded)
        self.leave()

    def exceeded(self, seconds: float) -> None:
        """One leaves because a backend has too much to do, or its time was over before its answer came.

        With a limit far too high nobody would get an answer, and nothing be learned. ``seconds`` is how long it was
        in; who had less time than an answer usually takes says nothing.
        """
        if seconds >= self._times.usual and 2 * self.in_flight > self.limit:
            self._limit.exceeded()
        self.leave()

    def leave(self) -> None:
        """One leaves, and nothing is learned of that."""
        self.in_flight -= 1
        if self._queue:
            self._fill()

    def _fill(self) -> None:
        """Give the free places to those that may have them."""
        while self._queue and self.in_flight < self.limit:
            sheddable_too = self.in_flight < self._share(Criticality.SHEDDABLE)
            turn = self._queue.take(Criticality.SHEDDABLE if sheddable_too else Criticality.DEFAULT)
            if turn is None:
                return
            if not turn.admission.done():  # it may have been cancelled in this very step
                self.in_flight += 1
                turn.admission.set_result(self._clock())

    def _wanted(self) -> int:
        return self._appetite()

    def _weight(self, client: str) -> int:
        return self._clients.weight(client)

    def _share(self, criticality: Criticality) -> int:
        limit = self.limit
        return max(1, int(limit * self._limits.sheddable)) if criticality is Criticality.SHEDDABLE else limit

    def hopeless(self, context: RequestContext, criticality: Criticality) -> bool:
        """Whether a request would wait in vain, as things are: then it may as well be refused unread.

        That is so only in a queue that does not pass, where one refused early is one less that is refused after it has
        waited. What is critical always has its try.
        """
        if not self._queue or criticality is Criticality.CRITICAL or self.in_flight < self._share(criticality):
            return False
        now = self._clock()
        if not self._stands(criticality, now) or not self._queue.ahead_of(criticality):
            return False
        turns = max(1.0, _IN_VAIN * self.limit * self.patience / self._times.usual) if self._times.usual else math.inf
        newcomer = Turn(client=self._clients.name(context), criticality=criticality, level=context.level)
        return self._queue.turns_before(newcomer, turns) >= turns

    def refusal(self, criticality: Criticality) -> GatewayError:
        """What a request gets that would wait in vain, counted as one that did."""
        return self._refusal("wait", criticality)

    async def wait(self, context: RequestContext, criticality: Criticality) -> float:
        """Return when a request is let in that could not enter at once; tells since when, by the gate's clock.

        That is earlier than now: a busy event loop takes its time to go on with it, and its place is taken meanwhile.

        Raises:
            Overloaded: it is not; says why, and when it may be.
            QueueTimeout: it had to wait for longer than it would.
        """
        loop, since = asyncio.get_running_loop(), self._clock()
        turn = _Turn(
            client=self._clients.name(context),
            criticality=criticality,
            level=context.level,
            admission=loop.create_future(),
        )
        if not self._queue.ahead_of(criticality):
            self._free_at[criticality] = since
        allowed, reason = self._allowed(turn, context, since)
        if allowed <= 0:
            raise self._refusal(reason, criticality)
        self._make_room(turn)
        self._queue.add(turn)
        timer = loop.call_later(allowed, self._expire, turn, reason)
        try:
            with child_span(context, "admission"):
                admitted = await turn.admission
        except asyncio.CancelledError:
            self._abandon(turn)
            raise
        finally:
            timer.cancel()
            waited = self._clock() - since
            context.admission_seconds += waited
            del turn  # a refusal is in its admission, and this frame in the refusal's traceback
        self._times.went_on(self._clock() - admitted)
        self._recorder.waited(waited)
        return admitted

    def _allowed(self, turn: _Turn, context: RequestContext, now: float) -> tuple[float, str]:
        """How long it may wait, in seconds, and what it is that ends its waiting then.

        A queue that is there for longer than ``wait`` is no burst that passes: who waits in it takes time from those
        behind. It consists of those that are at least as critical; the others wait behind.
        """
        wait = self._limits.wait
        if self._stands(turn.criticality, now):
            wait = self.patience
        ends = [(wait, "wait"), (context.time_left() - self._times.usual, "deadline")]
        if context.queue_timeout is not None:
            ends.append((context.queue_timeout, "queue_timeout"))
        return min(ends)

    def _stands(self, criticality: Criticality, now: float) -> bool:
        """Whether those as critical have been waiting, one or another, for longer than one may."""
        return now - self._free_at[criticality] > self._limits.wait

    def _make_room(self, turn: _Turn) -> None:
        """See to it that there is a place for ``turn``; raises Overloaded when it is the one that has to go."""
        if len(self._queue) < self._limits.queue:
            return
        victim = self._queue.victim(turn)
        if victim is None:
            raise self._refusal("full", turn.criticality)
        self._queue.discard(victim)
        if not victim.admission.done():
            victim.admission.set_exception(self._refusal("displaced", victim.criticality))

    def _expire(self, turn: _Turn, reason: str) -> None:
        if not turn.admission.done():
            self._queue.discard(turn)
            turn.admission.set_exception(self._refusal(reason, turn.criticality))

    def _refusal(self, reason: str, criticality: Criticality) -> GatewayError:
        self._recorder.refused(reason, criticality.label)
        if reason == "queue_timeout":
            return QueueTimeout(f"model {self._name!r}: the request's timeout expired in the queue")
        # By then everybody who waits now is served or refused.
        soon = max(self._limits.wait, self._times.usual * (len(self._queue) + 1) / self.limit)
        return Overloaded(f"model {self._name!r} is overloaded: {_EXPLANATIONS[reason]}", soon)

    def _abandon(self, turn: _Turn) -> None:
        """Nobody waits for it any more."""
        self._queue.discard(turn)
        if turn.admission.done() and not turn.admission.cancelled() and turn.admission.exception() is None:
            self.leave()  # its turn came in the very moment
