"""Whether a backend is trusted with requests: the circuit breaker's state, which attempts change.

closed ──too many failures──→ open ──its time is over, or its health check passes again──→ half-open
  ↑                             ↑                                                              │
  │                             └───────────── an attempt fails: open for longer ──────────────┤
  └─────────────────────────────────── an attempt succeeds ────────────────────────────────────┘

While one is open and all others are too, requests are sent all the same; the first that succeeds closes it at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from gateway.core.accrual import FailureAccrual


class CircuitState(IntEnum):
    """The numbers are those of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True, frozen=True)
class BreakerPolicy:
    """When a circuit opens (see ``FailureAccrual``), and for how long.

    ``backoff`` has the seconds that it stays open at first, doubled each time that this did not help, and the most. Up
    to half is taken off at random, so that gateways do not try again all at once.
    """

    failures: int = 5
    success_rate: float = 0.8
    window: float = 30.0
    min_requests: int = 5
    backoff: tuple[float, float] = (1.0, 60.0)


class Circuit:
    """The circuit of one backend; ``random`` gives numbers from 0 to 1, ``now`` is in seconds and never goes back.

    Attributes:
        closed: it is trusted.
        generation: changes with the state. An attempt that began in another one says nothing of this one: what hung
            before the circuit opened may fail long after it has closed.
    """

    __slots__ = (
        "_accrual",
        "_closed_at",
        "_needed",
        "_pause",
        "_policy",
        "_probing",
        "_random",
        "_until",
        "closed",
        "generation",
    )

    def __init__(self, policy: BreakerPolicy = BreakerPolicy(), random: Callable[[], float] = random.random) -> None:
        self.closed = True
        self.generation = 0
        self._policy = policy
        self._random = random
        self._accrual = self._fresh_accrual()
        self._pause = 0.0
        self._until = self._closed_at = 0.0
        self._probing = self._needed = False

    def state(self, now: float) -> CircuitState:
        """As the drawing has it."""
        if self.closed:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self._until else CircuitState.HALF_OPEN

    def wants_probe(self, now: float) -> bool:
        """Whether it is time for one request to find out whether the backend is well again."""
        return not self.closed and not self._probing and now >= self._until

    def begin_probe(self, now: float) -> bool:
        """Take the place of that request, if it is free; it is to be given back by ``end_probe``, however it ends."""
        if self.closed or not self.wants_probe(now):
            return False
        self._probing = True
        return True

    def end_probe(self) -> None:
        """Let another one try, unless this one has changed the state."""
        self._probing = False

    def adopt(self, policy: BreakerPolicy) -> None:
        """Go by ``policy`` from now on; the state stays, and failures are counted anew if the policy is another one."""
        if policy != self._policy:
            self._policy = policy
            self._accrual = self._fresh_accrual()

    def half_open(self, now: float) -> None:
        """Try again now and not later: something else says that the backend is well."""
        self._until = min(self._until, now)

    def is_needed(self) -> None:
        """Note that a request is sent because nobody else is trusted either: one that goes well is reason enough."""
        self._needed = True

    def succeeded(self, generation: int, now: float) -> bool:
        """Note that an attempt went well that began in ``generation``; returns whether it has closed the circuit."""
        if generation != self.generation:
            return False
        if self.closed:
            self._accrual.succeeded(now)
            return False
        if now < self._until and not self._needed:
            return False
        self.closed, self._closed_at = True, now
        self.generation += 1
        return True

    def failed(self, generation: int, now: float) -> bool:
        """Note that one failed; returns whether it has opened the circuit, or opened it again."""
        if generation != self.generation:
            return False
        if self.closed:
            if not self._accrual.failed(now):
                return False
            if now - self._closed_at > self._policy.window:
                self._pause = 0.0  # it was well for long: this is another story
        elif now < self._until:
            return False
        self._open(now)
        return True

    def _open(self, now: float) -> None:
        first, most = self._policy.backoff
        self._pause = min(2 * self._pause or first, most)
        self._until = now + self._pause * (1 - self._random() / 2)
        self.closed = self._probing = self._needed = False
        self.generation += 1
        self._accrual = self._fresh_accrual()

    def _fresh_accrual(self) -> FailureAccrual:
        policy = self._policy
        return FailureAccrual(policy.failures, policy.success_rate, policy.window, policy.min_requests)
