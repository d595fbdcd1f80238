"""How many requests of a model should be under way at once: as few as give its full throughput.

Below the knee more requests under way mean more answers, for long with a backend that batches; above it longer waits.
So what is followed is the gradient of the throughput: how much of a change of the limit comes back in answers (both as
logarithms), about 1 below the knee and 0 above. It is measured only while all of the limit is in use, in windows with
one limit and with another.

A window lasts until its own noise says that it has told enough, and no longer: a few rounds where answers take nearly
the same time, some hundred answers at most. So it is short for a slow backend as well, as long as few are under way;
that is why a limit begins low and has to prove what it gains when it grows. First it doubles, a round or two each time,
while that brings more answers; that takes as long as a few answers, however many there are in a second. Then trials
look whether fewer are as good. Growing by mistake costs every request its time and takes long to find out, because all
that are under way have to leave first; to shrink by mistake costs some throughput for a window.

A backend that becomes slower with all else unchanged has its knee where it was, and keeps its limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway.core.first_guess import FirstGuess
from gateway.core.limit_window import LimitWindow, gradient

# Where the gradient is less than this, the additional requests only wait.
_WORTH = 0.1
# No more requests can bring more answers than in proportion: then the backend has changed between two windows.
_IMPOSSIBLE = 1.5
# Standard errors that make a gradient clear, and one that is good enough for any.
_SURE, _PRECISE = 2.0, 0.12
# One window takes at least so many seconds, answers and rounds (in which all that are under way are replaced). It need
# not take more answers than these, or rounds for a change of the limit by a factor of e.
_SECONDS = 0.05
_FEWEST, _FEWEST_ROUNDS = 8, 3
_ANSWERS, _ROUNDS = 100, 2
# While it doubles: answers of a window, and the gradient that has it go on.
_DOUBLING_ANSWERS, _GROWS = 16, 0.5
# A trial divides the limit by its ratio, which grows while the limit goes one way, and shrinks at turns.
_LEAST_RATIO, _WIDE_RATIO, _MOST_RATIO = 1.25, 1.5, 2.0
# Windows of a trial. A wide one alternates until it is clear; a narrow one is about little, and has few of the low one.
_WIDE_TRIAL, _LONG_WIDE_TRIAL, _NARROW_TRIAL = 2, 4, 5
# Steps, as a share of the ratio, that mean more than chance, and that mean nothing.
_CLEAR, _UNCLEAR = 0.4, 0.2
# How many are let in until there is a guess, and where to begin where quiet times tell nothing.
_UNKNOWN, _START = 16, 4


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
        "_bound",
        "_doubling",
        "_guess",
        "_last",
        "_least",
        "_looks_at",
        "_most",
        "_pair",
        "_quiet",
        "_ratio",
        "_window",
        "_windows",
        "limit",
    )

    def __init__(self, least: int, most: int, appetite: Callable[[], int]) -> None:
        self._appetite = appetite
        self._least = least
        self._most = most
        self._base = float(min(max(_UNKNOWN, least), most))
        self._ratio = _MOST_RATIO
        self._last = 0.0  # step
        self._quiet = most  # answers in a row while there was room
        self._guess: FirstGuess | None = FirstGuess()
        self._doubling = True
        self.limit = round(self._base)
        self._pair = (self.limit, self.limit)  # the limits that a trial compares
        self._bound = 0  # what batching wanted, where that is what the lower one is
        self._windows: list[LimitWindow] = []  # those of a trial that are over
        self._window = LimitWindow(self.limit, 0.0, 0)
        self._looks_at = 0  # answers of the window after which to see whether they are enough

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
        window = self._window
        window.add(seconds)
        if window.count < self._looks_at or now - window.began < _SECONDS:
            return
        if self._outdated():
            self._windows = []
            self._begin_window(now)
            return
        if not self._enough(window):
            self._looks_at = window.count + max(1, window.count // 8)
            return
        self._windows.append(window)
        if self._doubling:
            self._double()
        else:
            self._try()
        self._begin_window(now)

    def exceeded(self) -> None:
        """Learn that a request was one too many: a backend refused it, or had not answered when its time was over.

        When all are, nothing else is learned, and the limit is halved about once in so many requests.
        """
        self._base = max(self._base * (1 - 0.5 / self.limit), self._least)
        self.limit = max(min(self.limit, math.ceil(self._base)), self._least)

    def _give_up_trial(self, now: float) -> None:
        if self._windows or self._window.count:
            self._windows = []
            self._begin_window(now)
        self._window.began = now

    def _begin_at(self, guess: FirstGuess, now: float) -> None:
        """Begin with what is guessed, once there is a guess."""
        guessed = guess.crowded(now, answers=self.limit, seconds=_SECONDS)
        if guessed is None:
            return
        self._base = float(min(max(guessed if math.isfinite(guessed) else _START, self._least), self._most))
        self._guess = None
        self._doubling = self._appetite() <= self._base  # else batching says where to begin
        self._begin_window(now)

    def _enough(self, window: LimitWindow) -> bool:
        """Whether more answers would tell little."""
        if window.count < self._fewest(window.limit):
            return False
        change = self._change
        if self._doubling or window.count >= max(_ANSWERS, window.limit * _ROUNDS / change):
            return True
        if math.sqrt(2 * window.variance()) <= _PRECISE * change:
            return True
        if not self._wide or all(each.limit == window.limit for each in self._windows):
            return False
        found, error = gradient([*self._windows, window])
        return abs(found - _WORTH) > _SURE * error

    def _double(self) -> None:
        """Go on to double the limit as long as that brings more answers."""
        if len(self._windows) < _WIDE_TRIAL:
            return
        grows = gradient(self._windows)[0] > _GROWS
        self._base = float(self._pair[grows])
        self._doubling = grows and self._base < self._most
        self._choose()
        self._windows = self._windows[-1:] if self._doubling else []

    def _try(self) -> None:
        """Go where the trial points, once it does, a step for each; the last window may begin the next trial."""
        count, wide = len(self._windows), self._wide
        if count < (_WIDE_TRIAL if wide else _NARROW_TRIAL):
            return
        found, error = gradient(self._windows)
        excess = found - _WORTH
        if wide and count < _LONG_WIDE_TRIAL and abs(excess) <= _SURE * error and error > _PRECISE:
            return
        latest, self._windows = self._windows[-1], []
        if found <= _IMPOSSIBLE + _SURE * error:
            self._follow(excess)
            self._choose()
            if self._wide and latest.limit in self._pair:
                self._windows = [latest]

    def _follow(self, excess: float) -> None:
        """Step as far as was tried, or a share of it; a wide trial that found nothing gained is believed sooner."""
        up, down = (2, 10) if self._wide else (1, 5)
        step = min(1.0, excess * up) if excess > 0 else max(-1.0, excess * down)
        high = self._pair[1]
        base = high * self._ratio**step if step > 0 else min(self._base, high * math.exp(self._change * step))
        self._base = min(max(base, self._least), self._most)
        goes_on = abs(step) > _CLEAR and self._last * math.copysign(1, step) > -_UNCLEAR
        self._last = step
        self._ratio = min(max(self._ratio**2 if goes_on else math.sqrt(self._ratio), _LEAST_RATIO), _MOST_RATIO)

    @property
    def _change(self) -> float:
        return math.log(self._pair[1] / self._pair[0])

    @property
    def _wide(self) -> bool:
        return self._pair[1] > _WIDE_RATIO * self._pair[0]

    def _choose(self) -> None:
        """What to compare next; whole numbers that differ even where there is little room."""
        appetite = self._appetite()
        least = max(self._least, appetite)
        if self._doubling:
            low = min(max(math.ceil(self._base), least), self._most - 1)
            self._pair = low, min(2 * low, self._most)
        else:
            high = math.ceil(max(self._base, least * _LEAST_RATIO))
            low = min(max(int(high / self._ratio), least), self._most - 1)
            self._pair = low, min(max(high, low + 1), self._most)
        self._bound = appetite if low == appetite else 0

    def _outdated(self) -> bool:
        """Whether batching wants something else by now than what the trial began with."""
        appetite = self._appetite()
        return min(appetite, self._most) > self._pair[1] or appetite * _WIDE_RATIO < self._bound

    def _next_limit(self) -> int:
        if not self._windows:
            self._choose()
        low, high = self._pair
        if self._doubling:
            return high if self._windows else low
        if self._wide:
            return low if self._windows and self._windows[-1].limit == high else high
        return low if len(self._windows) == 1 else high

    def _begin_window(self, now: float) -> None:
        before, self.limit = self._window, self._next_limit()
        stays = before.limit == self.limit and before.settled
        self._window = LimitWindow(self.limit, now, 0 if stays else max(before.limit, self.limit))
        self._looks_at = max(_FEWEST, self.limit)

    def _fewest(self, limit: int) -> int:
        return max(_DOUBLING_ANSWERS, limit) if self._doubling else max(_FEWEST, _FEWEST_ROUNDS * limit)
