"""Whether a request that has just arrived is let in, judged before anything is made of it.

To read, decode and refuse a request costs a good part of what it costs to answer it. So a process of which too much is
asked turns requests away as soon as their head is there, with an answer that is made already.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from gateway.core.criticality import HEADER, Criticality
from gateway.core.crowding import GREATEST_SHARE, LEAST, TARGET, Crowding

# The end of the path of every operation that is inference; all others are let in whatever happens.
_INFERENCE = re.compile(rb"(?:/infer|:predict|:classify|:regress|/invoke|/invocations|^/predictions/[^?]*)/?(?:\?|$)")
_VERBS = (b"POST", b"PUT")
# What is critical has room when nobody else has, and what is sheddable has none first. Others have all of the limit.
_SHARES = {
    Criticality.CRITICAL.label.encode(): GREATEST_SHARE,
    Criticality.SHEDDABLE.label.encode(): 0.5,
}
_PRIORITY = HEADER.encode()


class Crowd:
    """Judges requests by the time that the event loop takes for a round; of use only while it is ``on``.

    ``count`` is called for each request that is turned away. Every door of a process asks the same one, and each tells
    how many requests it has itself.
    """

    def __init__(self, count: Callable[[], None], *, on: bool, clock: Callable[[], float] = time.perf_counter) -> None:
        self.on = on
        self._count = count
        self._clock = clock
        self._rule = Crowding()
        self._long_round: list[Callable[[], object]] = []
        self._watching = self._arrived = False
        self._since = 0.0

    def refuses(self, in_flight: int, priority: bytes | None) -> bool:
        """Whether a request is turned away while its door has ``in_flight`` others; ``priority`` as its header says."""
        self._arrived = True
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._begin)
        share = 1.0 if priority is None else _SHARES.get(priority.strip().lower(), 1.0)
        if self._rule.admits(in_flight, share):
            return False
        self._count()
        return True

    def on_long_round(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` after each round that takes longer than it should."""
        self._long_round.append(callback)

    def _begin(self) -> None:
        self._since, self._arrived = self._clock(), False
        # Runs a round later: a loop that has something to run does not wait for anything between.
        asyncio.get_running_loop().call_soon(self._round_ended)

    def _round_ended(self) -> None:
        now = self._clock()
        self._rule.round_ended(now - self._since, now)
        if now - self._since > TARGET:
            for callback in self._long_round:
                callback()
        if self._arrived:
            self._begin()
        else:
            self._watching = False
            self._rule.idled(now)


def may_be_refused(method: bytes, url: bytes) -> bool:
    """Whether an HTTP request is inference: health, metadata and control must be answered in a crowd too."""
    return method in _VERBS and _INFERENCE.search(url) is not None


def priority_of(headers: list[tuple[bytes, bytes]], in_flight: int) -> bytes | None:
    """What a request says of its own weight, where that could matter."""
    if in_flight >= LEAST:
        for name, value in headers:
            if name == _PRIORITY:
                return value
    return None
