"""How often each client may ask: a token bucket for each, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

_ROUNDING = 1e-9  # seconds


@dataclass(slots=True, frozen=True)
class Rate:
    """``per_second`` requests in the long run, and ``burst`` of them at once after a silence."""

    per_second: float
    burst: int


class RateLimits:
    """The buckets of the latest ``tracked`` clients; one that comes back after it was forgotten has a full one.

    ``default`` is for clients without an entry in ``named``; None lets them ask as often as they like. Clients whose
    rate is the same as in ``before`` have what they had left there.
    """

    __slots__ = ("_buckets", "_default", "_named", "_tracked")

    def __init__(
        self, default: Rate | None, named: Mapping[str, Rate], tracked: int, before: RateLimits | None = None
    ) -> None:
        self._default = default
        self._named = named
        self._tracked = tracked
        # By client, the one that asked last at the end: when its bucket would be full, if nothing more was taken.
        self._buckets = OrderedDict[str, float]()
        if before is not None:
            self._go_on(before)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str, now: float) -> float:
        """Take a token of ``client`` at ``now`` (seconds on a clock that never goes back); 0 when it had one.

        Else nothing is taken, and the result is the seconds until it has one.
        """
        rate = self._rate(client)
        if rate is None:
            return 0.0
        each = 1 / rate.per_second
        full_at = max(self._buckets.get(client, now), now) + each
        missing = full_at - now - rate.burst * each
        if missing > _ROUNDING:
            self._buckets.move_to_end(client)  # asking in vain is no way to be forgotten
            return missing
        self._buckets[client] = full_at
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._tracked:
            self._buckets.popitem(last=False)
        return 0.0

    def _rate(self, client: str) -> Rate | None:
        return self._named.get(client, self._default)

    def _go_on(self, before: RateLimits) -> None:
        for client, full_at in before._buckets.items():
            if self._rate(client) == before._rate(client):
                self._buckets[client] = full_at
        for _ in range(len(self._buckets) - self._tracked):
            self._buckets.popitem(last=False)
