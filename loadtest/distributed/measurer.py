"""Measures one worker's share of a load: the part that lives on its event loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from loadtest.clock import NS, Clock
from loadtest.errors import LoadTestError
from loadtest.load.loads import AnyLoad
from loadtest.measure.agreement import Outputs
from loadtest.measure.settings import Settings, lead_in
from loadtest.measure.share import Share
from loadtest.measure.subject import Subject
from loadtest.payloads.workload import Workload
from loadtest.results.block import Block
from loadtest.targets.target import Target

# A target's name and the number of its workload's first payload: one target may be sent several workloads.
Key = tuple[str, int]


@dataclass(slots=True, frozen=True)
class Order:
    """What to measure. ``start`` is when to begin, as ``time.time_ns`` of the worker's host shows it."""

    load: AnyLoad
    repetition: int
    restart: int
    start: int
    window: int | None = None
    arrivals_seed: int | None = None


@dataclass(slots=True, frozen=True)
class Part:
    """What a worker measured: its block, None when there is none, and the problem of its subject.

    ``late`` is how much time (ns) had passed since the agreed moment when the order came.
    """

    block: Block | None
    problem: str
    late: int


class Measurer:
    """Measures ``share`` of every load."""

    def __init__(self, share: Share, clock: Clock, lag_clock: Clock) -> None:
        self._share = share
        self._clock = clock
        self._lag_clock = lag_clock
        self._subjects: dict[Key, Subject] = {}
        self._measuring: asyncio.Task[None] | None = None

    async def prepare(
        self, target: Target, workload: Workload, settings: Settings, first_payload: int
    ) -> tuple[tuple[Outputs, ...], str]:
        """See ``Worker``."""
        subject = Subject(target, workload, settings, self._clock, self._lag_clock, first_payload)
        self._subjects[target.name, first_payload] = subject
        return await subject.interview(), subject.problem

    async def warm_up(self, subject: Key, concurrency: int) -> None:
        """See ``Worker``."""
        await self._subjects[subject].warm_up(max(self._share.callers(concurrency), 1))

    async def measure(self, key: Key, order: Order) -> Part:
        """See ``Worker``."""
        late = max(time.time_ns() - order.start, 0)
        subject = self._subjects[key]
        known = len(subject.blocks)
        self._measuring = asyncio.create_task(self._begin(subject, order))
        try:
            await self._measuring
        except asyncio.CancelledError:
            pass  # stopped: the subject has kept what was measured
        except LoadTestError as error:
            subject.problem = str(error)
        return Part(subject.blocks[-1] if len(subject.blocks) > known else None, subject.problem, late)

    async def disconnect(self, subject: Key) -> None:
        """See ``Worker``."""
        await self._subjects[subject].disconnect()

    async def reappear(self, subject: Key) -> str:
        """See ``Worker``."""
        await self._subjects[subject].reappear()
        return self._subjects[subject].problem

    async def close(self) -> None:
        """Close every connection."""
        for subject in self._subjects.values():
            await subject.disconnect()

    def stop(self) -> None:
        """See ``Worker``."""
        if self._measuring is not None:
            self._measuring.cancel()

    async def _begin(self, subject: Subject, order: Order) -> None:
        if not await subject.connect(order.load):
            return
        window = subject.settings.window if order.window is None else order.window
        await asyncio.sleep((order.start - time.time_ns()) / NS)
        await subject.measure(
            order.load,
            order.repetition,
            window=order.window,
            arrivals_seed=order.arrivals_seed,
            share=self._share,
            restart=order.restart,
            opens=self._clock.now() + lead_in(window),
        )
