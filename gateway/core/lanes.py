"""How many calls should be under way to a backend at once: as few as give its full throughput.

Fewer lanes leave a backend idle; more make requests wait inside it, where they are not batched and cannot be told to go
elsewhere. The number is found by trying: while requests wait (else lanes cost and gain nothing), the throughput with
the present number is held against that with more, then with fewer, in pairs of short windows, so that a drift of the
machine hits both; as many pairs as the noise asks for.

Chance must not make the number grow: there are many trials in a day, and each that is looked at after every pair has
many occasions to be wrong. So more lanes must be sure to carry clearly more, and where fewer are about as good they are
taken; then what chance has added goes again. The number begins at one, as most servers compute one call at a time and
batches are largest then, and doubles for as long as that helps.
"""

from __future__ import annotations

import math

# Fewer lanes are better when they do not carry so much less, more when so much of them comes back in rows; logarithms.
_MATTERS = math.log(1.05)
_WORTH = 0.15
# One window takes at least so many seconds, and so many calls on each lane.
_WINDOW = 0.1
_CALLS_PER_LANE = 2
_LEAST_PAIRS, _MOST_PAIRS = 4, 16
# Standard errors that prove that more lanes are needed, and that fewer are enough.
_PROOF, _SURE = 3.0, 2.0
# Seconds until the neighbours are tried again, twice as many each time that nothing was found.
_FIRST_REST = 1.0
_LONGEST_REST = 60.0
_START = 1


class Lanes:
    """The number for one model on one backend, from ``least`` to ``most``; times are in seconds.

    Attributes:
        limit: how many calls may be under way now.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._settled = self._other = self.limit = min(max(_START, least), most)
        self._upwards = False
        self._doubling = True  # until more were tried in vain
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
        up = self._settled if self._doubling else self._settled // 2
        step = max(1, up) if self._upwards else -max(1, self._settled // 4)
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
        better = self._better(mean, error, last=pairs == _MOST_PAIRS)
        if better is None:
            return
        if better:
            self._settled = self._other
            self._fruitless, self._rest = 0, _FIRST_REST
        else:
            self._other = self._settled
            self._turn_round(now)
        self._rates = []

    def _better(self, gain: float, error: float, *, last: bool) -> bool | None:
        """Whether the other number is; None while that is not clear. Where it stays so, fewer are."""
        if self._other > self._settled:
            wanted = _WORTH * math.log(self._other / self._settled)
            if gain - wanted > _PROOF * error:
                return True
            return False if last or wanted - gain > _SURE * error else None
        if gain + _MATTERS > _SURE * error:
            return True
        return gain > -_MATTERS if last or -_MATTERS - gain > _SURE * error else None

    def _gain(self, pair: int) -> float:
        """How much more the other number carried in the pair, as a logarithm."""
        first, second = self._rates[2 * pair : 2 * pair + 2]
        gain = math.log(second / first)
        return -gain if pair % 2 else gain

    def _turn_round(self, now: float) -> None:
        """Go the other way; after neither way led anywhere, rest."""
        self._doubling = self._doubling and not self._upwards
        self._upwards = not self._upwards
        self._fruitless += 1
        if self._fruitless >= 2:
            self._rests_until, self._fruitless = now + self._rest, 0
            self._rest = min(2 * self._rest, _LONGEST_REST)
