"""How many requests of a model should be under way at once: as few as give its full throughput.

Below the knee more requests under way mean more answers, for long with a backend that batches; above it longer waits.
So what is followed is the gradient of the throughput: how much of a change of the limit comes back in answers (both as
logarithms), about 1 below the knee and 0 above. While all of the limit is in use, the throughput is the limit
divided by the latency, and a latency is known with less noise than a count of answers that come in bursts. It is
measured only then, in trials of short windows, one of them with a smaller limit. A backend that becomes slower with all
else unchanged has its knee where it was, and keeps its limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway.core.first_guess import FirstGuess

# Where the gradient is less than this, the additional requests only wait.
_WORTH = 0.1
# One window takes at least so many seconds and answers; more, the smaller the difference is that is looked for.
_SECONDS = 0.05
_ANSWERS = 100
_ROUNDS = 2
# A trial divides the limit by its ratio, which grows while the limit goes one way, and shrinks at turns.
_LEAST_RATIO, _WIDE_RATIO, _MOST_RATIO = 1.25, 1.5, 2.0
# Which window of a trial has the smaller limit; before and after it is the limit itself, so that drifts cancel out.
_LOW = 1
_WIDE_TRIAL, _NARROW_TRIAL = 3, 5  # windows
# Steps, as a share of the ratio, that mean more than chance, and that mean nothing.
_CLEAR, _UNCLEAR = 0.4, 0.2
_START = 16


class ConcurrencyLimit:
    """The limit of one model, from ``least`` to ``most``; times are in seconds on a clock that never goes back.

    ``appetite`` says how many are of use now for reasons of its own; to look for that here too would disturb whoever
    is looking for the best size of batches below.

    Attributes:
        limit: how many requests may be under way now.
    """

    __slots__ = (
        "_appetite",
        "_base",
        "_began",
        "_guess",
        "_last",
        "_least",
        "_most",
        "_quiet",
        "_rates",
        "_ratio",
        "_seconds",
        "_seen",
        "_settling",
        "limit",
    )

    def __init__(self, least: int, most: int, appetite: Callable[[], int]) -> None:
        self._appetite = appetite
        self._least = least
        self._most = most
        self._base = float(min(max(_START, least), most))
        self._ratio = _MOST_RATIO
        self._last = 0.0  # step
        self._quiet = most  # answers in a row while there was room
        self._guess: FirstGuess | None = FirstGuess()
        self._rates: list[float] = []
        self.limit = round(self._base)
        self._settling = self._seen = 0
        self._began = self._seconds = 0.0

    def answered(self, seconds: float, now: float, *, crowded: bool) -> None:
        """Learn that a request was answered well after ``seconds``; ``crowded``: all of the limit was in use."""
        if self._least == self._most:
            return
        self._quiet = 0 if crowded else self._quiet + 1
        if self._quiet > self.limit:  # the throughput is that of the clients
            self._give_up_trial(now)
            if self._guess is not None:
                self._guess.quiet(seconds, now)
            return
        if self._guess is not None:
            self._begin_at(self._guess, now)
            return
        self._seen += 1
        if self._seen <= self._settling:  # under way since before the window began
            return
        self._seconds += seconds
        counted = self._seen - self._settling
        wanted = max(_ANSWERS, self.limit * _ROUNDS / math.log(self._ratio))
        if counted < wanted or now - self._began < _SECONDS or self._seconds <= 0:
            return
        self._rates.append(self.limit * counted / self._seconds)
        if len(self._rates) == (_WIDE_TRIAL if self._ratio > _WIDE_RATIO else _NARROW_TRIAL):
            self._follow()
            self._rates = []
        self._begin_window(now)

    def _give_up_trial(self, now: float) -> None:
        self._began = now
        if self._seen or self._rates:
            self._rates = []
            self._begin_window(now)

    def _begin_at(self, guess: FirstGuess, now: float) -> None:
        """Begin with what is guessed, once there is a guess."""
        guessed = guess.crowded(now, answers=self.limit, seconds=_SECONDS)
        if guessed is None:
            return
        if math.isfinite(guessed):
            self._base = min(max(guessed, self._least), self._most)
        self._guess = None
        self._begin_window(now)

    def exceeded(self) -> None:
        """Learn that a request was one too many: a backend refused it, or had not answered when its time was over.

        When all are, nothing else is learned, and the limit is halved about once in so many requests.
        """
        self._base = max(self._base * (1 - 0.5 / self.limit), self._least)
        self.limit = max(min(self.limit, math.ceil(self._base)), self._least)

    def _follow(self) -> None:
        """Go where the trial points, a step for each; a wide one that found nothing gained is believed sooner."""
        low, high = self._tried()
        rate = self._rates.pop(_LOW)
        excess = math.log(sum(self._rates) / len(self._rates) / rate) / math.log(high / low) - _WORTH
        down = 10 if self._ratio > _WIDE_RATIO else 5
        step = min(1.0, excess) if excess > 0 else max(-1.0, excess * down)
        self._base = min(max(self._base * self._ratio**step, self._least), self._most)
        goes_on = abs(step) > _CLEAR and self._last * math.copysign(1, step) > -_UNCLEAR
        self._last = step
        self._ratio = min(max(self._ratio**2 if goes_on else math.sqrt(self._ratio), _LEAST_RATIO), _MOST_RATIO)

    def _tried(self) -> tuple[int, int]:
        """The limits that a trial compares; whole numbers that differ even where there is little room."""
        least = max(self._least, self._appetite())
        low = min(max(int(self._base / self._ratio), least), self._most - 1)
        return low, min(max(math.ceil(self._base), low + 1), self._most)

    def _begin_window(self, now: float) -> None:
        low, high = self._tried()
        before, self.limit = self.limit, low if len(self._rates) == _LOW else high
        self._settling = max(before, self.limit)
        self._began, self._seen, self._seconds = now, 0, 0.0
