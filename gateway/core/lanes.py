"""How many calls should be under way to a backend at once: as few as give its full throughput.

Fewer lanes leave a backend idle; more make requests wait inside it, where they are not batched and cannot be told to go
elsewhere. The number is found by trying: while requests wait (else lanes cost and gain nothing), the throughput with
the present number is held against that with more, then with fewer, in pairs of short windows, so that a drift of the
machine hits both; as many pairs as the noise asks for.
"""

from __future__ import annotations

import math

# More lanes are better when they carry so much more, and fewer when they carry nearly as much; as logarithms.
_GAIN = math.log(1.05)
_LOSS = math.log(0.98)
# One window takes at least so many seconds, and so many calls on each lane.
_WINDOW = 0.1
_CALLS_PER_LANE = 4
_LEAST_PAIRS, _MOST_PAIRS = 3, 16
_SURE = 2.0  # standard errors
# Seconds until the neighbours are tried again, twice as many each time that nothing was found.
_FIRST_REST = 1.0
_LONGEST_REST = 60.0
_START = 4


class Lanes:
    """The number for one model on one backend, from ``least`` to ``most``; times are in seconds.

    Attributes:
        limit: how many calls may be under way now.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._settled = self._other = self.limit = min(max(_START, least), most)
        self._upwards = True
        self._fruitless = 0
        self._rest = _FIRST_REST
        self._rests_until = 0.0
        self._rates: list[float] = []  # rows a second: settled, other, other, settled, settled, …
        self._began, self._calls, self._rows = 0.0, 0, 0

    def answered(self, rows: int, now: float, *, crowded: bool) -> None:
        """Learn that a call with ``rows`` came back; ``crowded``: requests wait for a lane."""
        if self._least == self._most or now < self._rests_until:
            return
        if not crowded:  # the throughput is that of the clients
            self._begin_window(now)
            return
        if self._other == self._settled:
            self._try_neighbour(now)
            return
        self._calls += 1
        if self._calls <= self.limit:  # under way since before the window began
            self._began = now
            return
        self._rows += rows
        if self._calls >= (1 + _CALLS_PER_LANE) * self.limit and now - self._began >= _WINDOW:
            self._rates.append(self._rows / (now - self._began))
            self._judge(now)
            self._begin_window(now)

    def _try_neighbour(self, now: float) -> None:
        step = max(1, self._settled // 2) if self._upwards else -max(1, self._settled // 4)
        self._other = min(max(self._settled + step, self._least), self._most)
        self._rates = []
        if self._other == self._settled:
            self._turn_round(now)
        self._begin_window(now)

    def _begin_window(self, now: float) -> None:
        self.limit = self._other if len(self._rates) % 4 in (1, 2) else self._settled
        self._began, self._calls, self._rows = now, 0, 0

    def _judge(self, now: float) -> None:
        """Decide, once the noise allows it or it has taken long enough."""
        pairs, rest = divmod(len(self._rates), 2)
        if rest or pairs < _LEAST_PAIRS:
            return
        gains = [self._gain(index) for index in range(pairs)]
        mean = sum(gains) / pairs
        error = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (pairs - 1) / pairs)
        wanted = _GAIN if self._other > self._settled else _LOSS
        unclear = abs(mean - wanted) <= _SURE * error
        if unclear and pairs < _MOST_PAIRS:
            return
        # Where chance may as well explain it, fewer are better.
        if mean >= wanted and not (unclear and self._other > self._settled):
            self._settled = self._other
            self._fruitless, self._rest = 0, _FIRST_REST
        else:
            self._other = self._settled
            self._turn_round(now)
        self._rates = []

    def _gain(self, pair: int) -> float:
        """How much more the other number carried in the pair, as a logarithm."""
        first, second = self._rates[2 * pair : 2 * pair + 2]
        gain = math.log(second / first)
        return -gain if pair % 2 else gain

    def _turn_round(self, now: float) -> None:
        """Go the other way; after neither way led anywhere, rest."""
        self._upwards = not self._upwards
        self._fruitless += 1
        if self._fruitless >= 2:
            self._rests_until, self._fruitless = now + self._rest, 0
            self._rest = min(2 * self._rest, _LONGEST_REST)
