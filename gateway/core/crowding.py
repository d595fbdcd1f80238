"""How many requests a process may be busy with, by the time that its event loop takes for a round.

A loop that has too much to do makes everything wait: what has arrived is read one round later, decoded in the next one,
and its answer is read and written in further ones. A round that is long once is a burst, or somebody's large document.
Rounds that are long for a while, without a pause, are a queue that stands and serves nobody (CoDel's rule, with rounds
for packets): fewer requests give the same throughput then, and shorter rounds.
"""

from __future__ import annotations

import math

# So many requests at once are always let in: as many clients, each of whom waits for its answer, are no overload.
LEAST = 64
# What the rounds of an interval but its longest have to last on average for a queue that stands, in seconds.
TARGET = 0.0025
# How long an interval is at least, in seconds and in rounds: a burst that is worked off makes several long ones.
INTERVAL = 0.05
_ROUNDS = 3
# A refusal's part of a round, next to that of a request that is let in: what only refusals make long, no limit cures.
_COST_OF_REFUSAL = 0.1
GREATEST_SHARE = 2.0  # of the limit, for what is critical
_SHARPEST = 0.25  # cut at once, in an interval
_GROWTH = 1.2  # in an interval that has room, and refused some
_RELAXATION = 2.0  # in an interval that refused none
_FORGOTTEN = 1_000_000  # a limit that nobody reaches is none
# After so many seconds without a request nothing is known of the next ones; clients that were refused are back before.
_SILENCE = 10.0


class Crowding:
    """A limit for the requests that are under way in a process, which is infinite as long as nothing is crowded.

    Whoever has a request asks ``admits``; ``round_ended`` and ``idled`` tell what the event loop does.

    Attributes:
        limit: requests under way, over which none is let in; never under ``LEAST``.
    """

    __slots__ = ("_admitted", "_busy", "_end", "_heard", "_longest", "_most", "_paused", "_refused", "_rounds", "limit")

    _end: float
    _busy: float
    _longest: float
    _paused: bool
    _rounds: int
    _admitted: int
    _refused: int
    _most: int

    def __init__(self) -> None:
        self.limit = math.inf
        self._heard = -math.inf  # when there was a request last
        self._begin()

    def admits(self, in_flight: int, share: float = 1.0) -> bool:
        """Whether one more request is let in while ``in_flight`` are under way; it may have a ``share``."""
        self._most = max(self._most, in_flight)
        if in_flight < LEAST or in_flight < self.limit * share:
            self._admitted += 1
            return True
        self._refused += 1
        return False

    def round_ended(self, seconds: float, now: float) -> None:
        """A round of the loop took ``seconds``, with something to do all the time; it is ``now``, in seconds."""
        self.limit = self.limit_at(now - seconds)
        self._heard = now
        self._end = min(self._end, now - seconds + INTERVAL)
        self._rounds += 1
        self._busy += seconds
        self._longest = max(self._longest, seconds)
        self._judge(now)

    def idled(self, now: float) -> None:
        """There is nothing to do, so no queue stands."""
        self._end = min(self._end, now + INTERVAL)
        self._paused = True
        self._judge(now)

    def limit_at(self, now: float) -> float:
        """The limit at a later moment, when there was no request until then."""
        return math.inf if now - self._heard > _SILENCE else self.limit

    def _judge(self, now: float) -> None:
        if now < self._end or (self._rounds < _ROUNDS and not self._paused):
            return
        if self._round > TARGET and self._most > self.limit * GREATEST_SHARE:
            pass  # those from before a cut have to end before it can show what it is worth
        elif self._standing > TARGET:
            cut = max(_SHARPEST, TARGET / self._standing)
            self.limit = max(LEAST, min(self._most, self.limit) * cut)
        else:
            grown = self.limit * (_GROWTH if self._refused else _RELAXATION)
            self.limit = grown if grown < _FORGOTTEN else math.inf
        self._begin()

    @property
    def _round(self) -> float:
        """What a round took in this interval, in seconds; nothing where the loop had nothing to do in between."""
        return 0.0 if self._paused else (self._busy - self._longest) / (self._rounds - 1)

    @property
    def _standing(self) -> float:
        """What a round took without the part of refusals, in seconds."""
        if not self._admitted:
            return 0.0
        return self._round * self._admitted / (self._admitted + self._refused * _COST_OF_REFUSAL)

    def _begin(self) -> None:
        self._end = math.inf  # an interval begins with a round: after a silence, the last one is long over
        self._busy = self._longest = 0.0
        self._paused = False
        self._rounds = self._admitted = self._refused = self._most = 0
