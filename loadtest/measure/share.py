"""The part of a load that one of several workers makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Share:
    """Worker ``index`` of ``count``: every ``count``-th request of the one seeded schedule, from ``index`` on."""

    index: int = 0
    count: int = 1

    def of(self, values: Sequence[int]) -> Sequence[int]:
        """This worker's entries of a schedule or of an order of payloads."""
        return values[self.index :: self.count]

    def callers(self, concurrency: int) -> int:
        """This worker's callers out of ``concurrency``."""
        return len(range(self.index, concurrency, self.count))


WHOLE = Share()
