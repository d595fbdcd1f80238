"""Whether one more request is let in, judged by what the event loop does before anything is made of the request.

To read, decode and refuse a request costs a good part of what it costs to answer it. So a process of which too much is
asked turns requests away as soon as their head is there, with an answer that is made already.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from gateway.core.criticality import Criticality
from gateway.core.crowding import GREATEST_SHARE, Crowding

# What is critical has room when nobody else has, and what is sheddable has none first. Others have all of the limit.
_SHARES = {
    Criticality.CRITICAL.label.encode(): GREATEST_SHARE,
    Criticality.SHEDDABLE.label.encode(): 0.5,
}


class Crowd:
    """Judges requests by the time that the event loop takes for a round; of use only while it is ``on``.

    For each request that is turned away ``count`` is called, and ``log`` with its address and the limit. Every door of
    a process asks the same one, and each tells how many requests it has itself.
    """

    def __init__(
        self,
        count: Callable[[], None],
        log: Callable[[bytes, float], None],
        *,
        on: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.on = on
        self._count = count
        self._log = log
        self._clock = clock
        self._rule = Crowding()
        self._busy_round: list[Callable[[], object]] = []
        self._watching = self._arrived = False
        self._since = 0.0

    @property
    def limit(self) -> float:
        """Requests that a door may have under way now, infinite while there is no crowd."""
        return self._rule.limit_at(self._clock()) if self.on else math.inf

    def refuses(self, in_flight: int, priority: bytes | None, address: bytes) -> bool:
        """Whether the request for ``address`` is turned away while its door has ``in_flight`` others.

        ``priority`` is what its header says; None where it has none.
        """
        self._arrived = True
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._begin)
        share = 1.0 if priority is None else _SHARES.get(priority.strip().lower(), 1.0)
        if self._rule.admits(in_flight, share):
            return False
        self._count()
        self._log(address, self._rule.limit)
        return True

    def on_busy_round(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` after each round in which requests have come, while it is on."""
        self._busy_round.append(callback)

    def _begin(self) -> None:
        self._since, self._arrived = self._clock(), False
        # Runs a round later: a loop that has something to run does not wait for anything between.
        asyncio.get_running_loop().call_soon(self._round_ended)

    def _round_ended(self) -> None:
        now = self._clock()
        self._rule.round_ended(now - self._since, now)
        for callback in self._busy_round:
            callback()
        if self._arrived:
            self._begin()
        else:
            self._watching = False
            self._rule.idled(now)
