"""What one limit of the requests under way is worth: the throughput while it was in use, and how sure that is.

While all of a limit is in use, the throughput is the limit divided by the latency (Little's law), and a latency is
known with less noise than a count of answers that come in bursts. Successive latencies are alike where requests queue
or are batched, and tell less than as many independent ones would: about as much less as they vary more in the long run
than from one to the next, and at worst one round, in which all that are under way are replaced, tells as much as one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

_MIXED = 3.0  # how much more alike they may be than neighbours show, where some of a latency is queueing and some not


class LimitWindow:
    """Answers to requests that began and ended under one ``limit``; times are in seconds.

    ``settling`` are those that are still to come of requests which were under way before.

    Attributes:
        limit: requests that were under way.
        began: when.
        count: answers that it has seen.
    """

    __slots__ = ("_last", "_seconds", "_settling", "_squares", "_steps", "began", "count", "limit")

    def __init__(self, limit: int, began: float, settling: int) -> None:
        self.limit = limit
        self.began = began
        self.count = 0
        self._settling = settling
        self._seconds = self._squares = self._steps = self._last = 0.0

    @property
    def settled(self) -> bool:
        """Whether all that is under way began under its limit, as long as that stays."""
        return self._settling == 0 and self.count > 0

    def add(self, seconds: float) -> None:
        """Learn how long an answer took."""
        if self._settling:
            self._settling -= 1
        else:
            step = seconds - self._last
            self.count += 1
            self._seconds += seconds
            self._squares += seconds * seconds
            self._steps += step * step
        self._last = seconds

    def rate(self) -> float:
        """The throughput in answers a second, as a logarithm; infinite where they took no time."""
        return math.log(self.limit * self.count / self._seconds) if self._seconds > 0 else math.inf

    def variance(self) -> float:
        """How sure that is: the square of its standard error; infinite for fewer than two answers."""
        if self.count < 2 or self._seconds <= 0:
            return math.inf
        mean = self._seconds / self.count
        spread = max(0.0, self._squares / self.count - mean * mean) * self.count / (self.count - 1)
        neighbours = self._steps / self.count / 2
        alike = min(max(_MIXED * spread / neighbours, 1.0), self.limit) if neighbours > 0 else self.limit
        return spread * alike / self.count / (mean * mean)


def gradient(windows: Iterable[LimitWindow]) -> tuple[float, float]:
    """How much of a change of the limit comes back in answers, and the standard error of that.

    Both are logarithms: 1 where twice the limit is twice the throughput, 0 where it changes nothing. ``windows`` have
    two limits.
    """
    found = list(windows)
    limits = [window.limit for window in found]
    low, high = min(limits), max(limits)
    change = math.log(high / low)
    sides = [[window for window in found if window.limit == limit] for limit in (low, high)]
    below, above = (sum(window.rate() for window in side) / len(side) for side in sides)
    variance = sum(window.variance() for side in sides for window in side) / min(map(len, sides)) ** 2
    return (above - below) / change, math.sqrt(variance) / change
