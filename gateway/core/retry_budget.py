"""How often requests may be sent a second time: a share of all, so that retries drown nobody who is in trouble."""

from __future__ import annotations

_SLOTS = 10
_DIGITS = 9  # sums of a share are exact to so many


class RetryBudget:
    """Finagle's: each request deposits ``share`` of a retry, and ``per_second`` retries are there without any.

    Deposits lapse after ``window`` seconds, and so do withdrawals, to a tenth of it. ``now`` is in seconds on a clock
    that never goes back.

    Attributes:
        share, per_second: as they were given.
    """

    __slots__ = ("_balance", "_newest", "_reserve", "_slots", "_width", "per_second", "share")

    def __init__(self, share: float, per_second: float, window: float = 10.0) -> None:
        self.share = share
        self.per_second = per_second
        self._reserve = per_second * window
        self._width = window / _SLOTS
        self._slots = [0.0] * _SLOTS
        self._newest = 0  # number of the slot that time is in
        self._balance = 0.0  # the sum of the slots

    def deposit(self, now: float) -> None:
        """One request has come."""
        self._add(self.share, now)

    def withdraw(self, now: float) -> bool:
        """Take one retry; False when none is left."""
        self._lapse(now)
        if round(self._reserve + self._balance, _DIGITS) < 1:
            return False
        self._add(-1, now)
        return True

    def refund(self, now: float) -> None:
        """Give one retry back that was not made after all."""
        self._add(1, now)

    def _add(self, amount: float, now: float) -> None:
        self._lapse(now)
        self._slots[self._newest % _SLOTS] += amount
        self._balance += amount

    def _lapse(self, now: float) -> None:
        newest = int(now / self._width)
        if newest == self._newest:
            return
        for number in range(max(self._newest, newest - _SLOTS) + 1, newest + 1):
            self._slots[number % _SLOTS] = 0.0
        self._newest = newest
        self._balance = sum(self._slots)
