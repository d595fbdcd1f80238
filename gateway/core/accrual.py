"""When failures are too many: so many in a row, or too large a share of what was sent lately."""

from __future__ import annotations

from gateway.core.errors import (
    AttemptTimeout,
    Conflict,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    QueueTimeout,
    RequestRefused,
    Unsupported,
)

# The caller's fault, who may also have given too little time; or a matter of load, which fewer requests cure.
_NO_FAILURES = (InvalidRequest, Unsupported, Conflict, RequestRefused, DeadlineExceeded, Overloaded, QueueTimeout)
_SLICES = 10


def is_failure(error: BaseException) -> bool:
    """Whether ``error`` says that the backend is not well: it was not reached, broke, hung, or gave no proper answer.

    A request that was cancelled says nothing.
    """
    if isinstance(error, _NO_FAILURES):
        return isinstance(error, AttemptTimeout)
    return isinstance(error, Exception)


class FailureAccrual:
    """Counts attempts on one backend.

    They are too bad with ``failures`` failures in a row, or when of those in the last ``window`` seconds (to a tenth of
    it) a smaller share than ``success_rate`` went well and they are at least ``min_requests``.
    """

    __slots__ = (
        "_bad",
        "_bad_by_slice",
        "_by_slice",
        "_failures",
        "_in_a_row",
        "_min_requests",
        "_slice",
        "_success_rate",
        "_total",
        "_width",
    )

    def __init__(self, failures: int, success_rate: float, window: float, min_requests: int) -> None:
        self._failures = failures
        self._success_rate = success_rate
        self._min_requests = min_requests
        self._width = window / _SLICES
        self._slice = 0  # since the clock began
        self._by_slice = [0] * _SLICES
        self._bad_by_slice = [0] * _SLICES
        self._total = self._bad = self._in_a_row = 0

    def succeeded(self, now: float) -> None:
        """Count one that went well at ``now``, in seconds on a clock that never goes back."""
        self._by_slice[self._turn(now)] += 1
        self._total += 1
        self._in_a_row = 0

    def failed(self, now: float) -> bool:
        """Count one that failed; returns whether they are too many now."""
        current = self._turn(now)
        self._by_slice[current] += 1
        self._bad_by_slice[current] += 1
        self._total += 1
        self._bad += 1
        self._in_a_row += 1
        if self._in_a_row >= self._failures:
            return True
        return self._total >= self._min_requests and self._total - self._bad < self._success_rate * self._total

    def _turn(self, now: float) -> int:
        """The index of the slice that ``now`` is in, once those that are too old are forgotten."""
        current = int(now / self._width)
        for old in range(self._slice + 1, min(current, self._slice + _SLICES) + 1):
            index = old % _SLICES
            self._total -= self._by_slice[index]
            self._bad -= self._bad_by_slice[index]
            self._by_slice[index] = self._bad_by_slice[index] = 0
        self._slice = current
        return current % _SLICES
