"""How many rows one call should carry: as many as make each row enough quicker to be worth the waiting.

More rows share the fixed cost of a call (a GPU's launch, a server's parsing), until that cost no longer shows; from
there on a larger batch only makes everybody wait for the last row. So the time per row is kept for each size, and a
size must be clearly quicker than half of it, the more so the more often it was doubled: else noise decides between
sizes that are as good, and takes what makes others wait ten times as long. A good time, not the mean: what else a
server was busy with says nothing about the size. And not the best one, which is the better the more calls there were:
on a noisy machine the size in use would beat every other one that is tried a few times.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping

# Twice the rows are worth it where a row gets quicker by more than this, as a logarithm.
_WORTH = 0.06
# Calls of a size before its time counts, and the latest that do.
_LEAST_CALLS, _MOST_CALLS = 5, 100
# The time that counts is better than all but this part: of the least calls it is the best.
_GOOD = 6
# Seconds after which a time is forgotten: servers warm up, move, and get neighbours. Also how long a refusal counts.
_MEMORY = 20.0
# Seconds until a larger size that was no better is tried again, twice as many each time: it may have been bad luck.
_FIRST_RETRY = 2.0


class BatchSize:
    """The limit for one model on one backend, in rows; never over ``most``. Times are in seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        # For sizes from 2^k up to 2^(k+1)-1 rows.
        self._sizes = [_Size() for _ in range(most.bit_length())]
        self._refused_until = 0.0
        self._allowed = most

    def answered(self, rows: int, seconds: float, now: float) -> None:
        """Learn from a call that carried ``rows`` and took ``seconds``."""
        if 0 < rows <= self._most:
            self._sizes[rows.bit_length() - 1].add(seconds / rows, now)

    def refused(self, rows: int, now: float) -> None:
        """Learn from a batch that failed as a whole: the next ones are half as large, for a while."""
        self._allowed, self._refused_until = max(1, rows // 2), now + _MEMORY

    def proven(self, now: float) -> int:
        """Rows of the largest batch of the size that is known to be best."""
        return min((2 << self._best(self._known(now))) - 1, self._most)

    def limit(self, now: float) -> int:
        """Rows that the next batch may have."""
        if now >= self._refused_until:
            self._allowed = self._most
        known = self._known(now)
        if not known:
            return 1
        size = self._best(known)
        self._sizes[size].retry = _FIRST_RETRY
        # A neighbour that was not tried lately may be better: a smaller one first, which costs nobody any time.
        if size and size - 1 not in known:
            size -= 1
        elif size + 1 < len(self._sizes) and (size + 1 not in known or self._sizes[size + 1].begin_again(now)):
            size += 1
        return min((2 << size) - 1, self._allowed)

    def _known(self, now: float) -> dict[int, float]:
        """The time of each size that was tried lately, the smallest size first."""
        return {number: time for number, size in enumerate(self._sizes) if (time := size.time(now)) is not None}

    @staticmethod
    def _best(known: Mapping[int, float]) -> int:
        return min(known, key=lambda size: known[size] * math.exp(_WORTH * size), default=0)


class _Size:
    """The latest times per row of one size."""

    def __init__(self) -> None:
        self._latest: deque[tuple[float, float]] = deque()  # when each is forgotten, and the time
        self._sorted: list[float] = []
        self.retry = _FIRST_RETRY

    def add(self, seconds: float, now: float) -> None:
        if len(self._latest) == _MOST_CALLS:
            self._forget()
        self._latest.append((now + _MEMORY, seconds))
        insort(self._sorted, seconds)

    def time(self, now: float) -> float | None:
        """What a row takes, when not much else is to be done; None where that is not known."""
        while self._latest and self._latest[0][0] <= now:
            self._forget()
        count = len(self._sorted)
        return self._sorted[count // _GOOD] if count >= _LEAST_CALLS else None

    def begin_again(self, now: float) -> bool:
        """Forget all, if the last call is long enough ago that there may be more luck now."""
        if self._latest[-1][0] - _MEMORY + self.retry > now:
            return False
        self._latest.clear()
        self._sorted.clear()
        self.retry = min(2 * self.retry, _MEMORY)
        return True

    def _forget(self) -> None:
        _, seconds = self._latest.popleft()
        del self._sorted[bisect_left(self._sorted, seconds)]
