"""Puts a load on a client: the loop that belongs to it, and one worker's share of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.clients import Client
from loadtest.clock import NS, Clock
from loadtest.generator.loops import OFFLINE_IN_FLIGHT, ClosedLoopRun, MultiStreamRun, OfflineRun, OpenLoopRun
from loadtest.generator.recorder import Recorder
from loadtest.load.loads import AnyLoad, ClosedLoop, MultiStream, Offline, OpenLoop
from loadtest.load.schedule import with_lead_in
from loadtest.measure.share import WHOLE, Share

# Connections an open loop starts with: at least the first, and enough for all that is due in the second (s). Opening
# one costs more than a request, so a hiccup at a high rate must not make the generator open hundreds at once.
_LEAST_CONNECTIONS = 16
_HICCUP = 0.02


@dataclass(slots=True, frozen=True, kw_only=True)
class Loading:
    """One block's load.

    Attributes:
        order: numbers of the payloads in the order of sending; the first belongs to the window's first request.
        lead_in: ns of load before the window.
        window: ns that count.
        seed: of this block's arrivals.
        share: this worker's part.
        most_in_flight: bound of open loops.
    """

    load: AnyLoad
    order: Sequence[int]
    lead_in: int
    window: int
    seed: int
    share: Share = WHOLE
    most_in_flight: int

    async def put_on(self, client: Client, recorder: Recorder, clock: Clock) -> None:
        """Return when the window is over and every request is answered."""
        load, share = self.load, self.share
        order = share.of(self.order)
        if isinstance(load, ClosedLoop):
            loop = ClosedLoopRun(client, recorder, order, clock)
            await loop.run(share.callers(load.concurrency), self.lead_in, self.window)
        elif isinstance(load, MultiStream):
            await MultiStreamRun(client, recorder, order, clock).run(load.streams, self.lead_in, self.window)
        elif isinstance(load, Offline):
            await OfflineRun(client, recorder, order, clock).run(share.callers(load.requests))
        else:
            await self._scheduled(load, client, recorder, clock)

    async def _scheduled(self, load: OpenLoop, client: Client, recorder: Recorder, clock: Clock) -> None:
        due = with_lead_in(load, self.lead_in, self.window / NS, self.seed)
        # Workers' lead-ins may differ by a little, so the window's requests are shared by their own numbers.
        before, within = (self.share.of(part.tolist()) for part in (due[due < 0], due[due >= 0]))
        order = self.share.of(self.order)
        first = len(before) % len(order)
        order = [*order[len(order) - first :], *order[: len(order) - first]]
        start = clock.now() + self.lead_in
        recorder.open(start, self.window)
        times = [start + one for one in (*before, *within)]
        await OpenLoopRun(client, recorder, order, clock).run(times, self.most_in_flight)


def block_seed(seed: int, repetition: int) -> int:
    """The seed of one block's arrivals."""
    return int(np.random.SeedSequence((seed, repetition)).generate_state(1)[0])


def connections(load: AnyLoad, most_in_flight: int) -> int:
    """Connections that must be there before the clock runs."""
    if isinstance(load, ClosedLoop):
        return load.concurrency
    if isinstance(load, MultiStream):
        return load.streams
    if isinstance(load, Offline):
        return OFFLINE_IN_FLIGHT
    return min(max(round((load.peak_rate or 0.0) * _HICCUP), _LEAST_CONNECTIONS), most_in_flight)
