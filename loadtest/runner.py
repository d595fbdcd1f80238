"""The two loops that make load. Both record from the moment a request was due, so that waiting is never hidden."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from loadtest.clients import Answer, Client, RequestFailed
from loadtest.clock import Clock
from loadtest.recorder import Recorder

# A dead server refuses in microseconds: without a pause its callers would spin.
_PAUSE_AFTER_FAILURE = 0.01

Check = Callable[[int, Answer], bool]


class _CannotKeepUp(Exception):
    """The in-flight bound of an open loop was reached."""


class Caller:
    """Sends the model's samples in turn to one client, checks the answers and records the times."""

    def __init__(self, client: Client, check: Check, samples: Iterator[int], clock: Clock) -> None:
        self.clock = clock
        self._client = client
        self._check = check
        self._samples = samples

    async def call(self, scheduled: int, recorder: Recorder) -> bool:
        """One request that was due at ``scheduled``; whether the answer was good."""
        sample = next(self._samples)
        sent = self.clock.now()
        try:
            answer = await self._client.send(sample)
        except RequestFailed as failure:
            recorder.failed(failure.kind, scheduled)
            return False
        if not self._check(sample, answer):
            recorder.failed("wrong answer", scheduled)
            return False
        recorder.good(scheduled, sent, answer.done)
        return True


async def closed_loop(caller: Caller, recorder: Recorder, concurrency: int, lead_in: int) -> None:
    """Keep ``concurrency`` requests in flight until the window ends; a request is due when its caller is free.

    The window opens after ``lead_in`` ns, and not before every caller has had an answer: the first requests find an
    idle server and tell nothing about a busy one.
    """
    clock = caller.clock
    earliest = clock.now() + lead_in
    waiting = concurrency

    async def keep_calling() -> None:
        nonlocal waiting
        good = await caller.call(clock.now(), recorder)
        waiting -= 1
        if not waiting:
            recorder.open(max(earliest, clock.now()))
        while True:
            if not good:
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
            scheduled = clock.now()
            if scheduled >= recorder.end:
                return
            good = await caller.call(scheduled, recorder)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(keep_calling())


async def open_loop(caller: Caller, recorder: Recorder, due: Iterable[int], most_in_flight: int) -> None:
    """Send a request at each clock time in ``due`` (ns, ascending), however slow the answers are.

    More than ``most_in_flight`` unanswered requests void the block: the schedule could not be kept any longer.
    """
    in_flight = 0

    async def call(scheduled: int) -> None:
        nonlocal in_flight
        in_flight += 1
        try:
            await caller.call(scheduled, recorder)
        finally:
            in_flight -= 1

    try:
        async with asyncio.TaskGroup() as tasks:
            for scheduled in due:
                await caller.clock.sleep_until(scheduled)
                if in_flight >= most_in_flight:
                    raise _CannotKeepUp
                tasks.create_task(call(scheduled))
            await caller.clock.sleep_until(recorder.end)  # no arrival is a measurement too
    except* _CannotKeepUp:
        recorder.void = f"cannot keep up: {most_in_flight} requests in flight"
