"""Shares by weight: which of several names a request gets."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

_GOLDEN = (math.sqrt(5) - 1) / 2
_HASHES = 2**64


class Split:
    """Chooses among the names in ``weights``, each as often as its part of their sum.

    A request with a key always gets the same name, in every process. Each name has a lot that is drawn from the key,
    and the heavier the name, the better (Efraimidis and Spirakis' exponential lots): so a name whose weight is raised
    takes keys from the others and gives none away, and one that is left out gives its keys to the others, who keep
    theirs. Requests without a key follow the golden ratio: the shares hold for a hundred requests as for a million.

    ``scope`` keeps the draws of one split apart from those of others. ``random`` gives a number from 0 to 1, where the
    requests without a key begin.
    """

    __slots__ = ("_at", "_lots", "_weights", "names")

    def __init__(
        self, scope: str, weights: Mapping[str, float], *, random: Callable[[], float] = random.random
    ) -> None:
        self.names = tuple(weights)  # also those without a share
        self._weights = dict(weights)
        self._lots = {name: blake2b(f"{scope}\0{name}\0".encode(), digest_size=8) for name in weights}
        self._at = random()

    def choose(self, names: Sequence[str], key: str) -> str:
        """One of ``names``; ``key`` is empty for a request that need not get the same again.

        Where none of them has a weight, it is the first.
        """
        shares = [(name, weight) for name in names if (weight := self._weights.get(name, 0.0)) > 0]
        if len(shares) < 2:
            return shares[0][0] if shares else names[0]
        return self._drawn(shares, key.encode()) if key else self._next(shares)

    def _drawn(self, shares: Sequence[tuple[str, float]], key: bytes) -> str:
        best, earliest = "", math.inf
        for name, weight in shares:
            lot = self._lots[name].copy()
            lot.update(key)
            time = -math.log((int.from_bytes(lot.digest(), "big") + 1) / _HASHES) / weight
            if time < earliest:
                best, earliest = name, time
        return best

    def _next(self, shares: Sequence[tuple[str, float]]) -> str:
        self._at = (self._at + _GOLDEN) % 1.0
        left = self._at * sum([weight for _, weight in shares])
        for name, weight in shares:
            left -= weight
            if left < 0:
                return name
        return name
