"""How many rows one call should carry: as few as make the backend about as quick, a row, as it can be.

More rows share the fixed cost of a call (a GPU's launch, a server's parsing), until that cost no longer shows; from
there on a larger batch only makes everybody wait for the last row. So the best time per row is kept for each size, and
the smallest size wins that is nearly as good as any. The best time, not the mean: what else a server was busy with says
nothing about the size.
"""

from __future__ import annotations

from collections import deque

# So much slower a row than the quickest size is as good.
_NEARLY = 1.15
# Calls of a size before its best time counts.
_LEAST_CALLS = 5
# Seconds after which a time is forgotten: servers warm up, move, and get neighbours. Also how long a refusal counts.
_MEMORY = 20.0


class BatchSize:
    """The limit for one model on one backend, in rows; never over ``most``. Times are in seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        # For sizes from 2^k up to 2^(k+1)-1 rows.
        self._best = [_RecentBest() for _ in range(most.bit_length())]
        self._refused_until = 0.0
        self._allowed = most

    def answered(self, rows: int, seconds: float, now: float) -> None:
        """Learn from a call that carried ``rows`` and took ``seconds``."""
        if 0 < rows <= self._most:
            self._best[rows.bit_length() - 1].add(seconds / rows, now)

    def refused(self, rows: int, now: float) -> None:
        """Learn from a batch that failed as a whole: the next ones are half as large, for a while."""
        self._allowed, self._refused_until = max(1, rows // 2), now + _MEMORY

    def limit(self, now: float) -> int:
        """Rows that the next batch may have."""
        if now >= self._refused_until:
            self._allowed = self._most
        known = {size: best for size, recent in enumerate(self._best) if (best := recent.value(now)) is not None}
        if not known:
            return 1
        quickest = min(known.values())
        size = next(size for size, best in known.items() if best <= quickest * _NEARLY)
        # A neighbour that was not tried lately may be better: a smaller one first, which costs nobody any time.
        if size and size - 1 not in known:
            size -= 1
        elif size == max(known):
            size += 1
        return min((2 << size) - 1, self._allowed)


class _RecentBest:
    """The smallest of the values of the last while, once there are enough of them."""

    def __init__(self) -> None:
        # When each value is forgotten, and the value. They ascend: one that a smaller one followed never counts again.
        self._values: deque[tuple[float, float]] = deque()
        # When the last few are forgotten.
        self._ends: deque[float] = deque(maxlen=_LEAST_CALLS)

    def add(self, value: float, now: float) -> None:
        while self._values and self._values[-1][1] >= value:
            self._values.pop()
        self._values.append((now + _MEMORY, value))
        self._ends.append(now + _MEMORY)

    def value(self, now: float) -> float | None:
        while self._values and self._values[0][0] <= now:
            self._values.popleft()
        if len(self._ends) < _LEAST_CALLS or self._ends[0] <= now:
            return None
        return self._values[0][1]
