"""What a server has counted since it started; the difference of two is what a block cost it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from loadtest.results.block import ServerTimes


@dataclass(slots=True, frozen=True)
class Snapshot:
    """Cumulative counters.

    Attributes:
        source: who says so, such as ``OIP statistics``.
        requests: good answers.
        seconds: their time by part, disjoint: the sum is no more than the time that the server had the requests.
    """

    source: str
    requests: int
    seconds: dict[str, float]


class Probe(Protocol):
    """Reads one server's counters. Never while the clock runs: reading costs the server time."""

    async def read(self) -> Snapshot | None:
        """What is counted so far; None when the server does not say. Never raises, and takes two seconds at most."""


def difference(before: Snapshot | None, after: Snapshot | None) -> ServerTimes | None:
    """What came between two readings; None without answers, or when the server was started anew in between.

    None too when answers took no time at all: TorchServe counts requests over gRPC, but not their times.
    """
    if before is None or after is None or after.requests <= before.requests:
        return None
    seconds = {part: total - before.seconds.get(part, 0.0) for part, total in after.seconds.items()}
    if min(seconds.values(), default=0.0) < 0 or not any(seconds.values()):
        return None
    return ServerTimes(source=after.source, requests=after.requests - before.requests, seconds=seconds)
