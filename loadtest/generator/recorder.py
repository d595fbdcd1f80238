"""Keeps every request of one block as raw nanoseconds; summaries are made from them later, never instead."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import numpy as np

from loadtest.calls import Call
from loadtest.clock import NS
from loadtest.results.block import Block, Health, IntArray, ServerTimes, pack

_NEVER = 2**63 - 1
_COLUMNS = 5
WRONG_ANSWER = "wrong answer"

Check = Callable[[Call], bool]


class Recorder:
    """Collects one block. Only requests that are due in its window count; ``open`` says when that is.

    Requests of the lead-in before the window are kept too, with negative times: they are in flight when it opens and
    so have their part in its throughput.

    Attributes:
        start: clock time (ns) at which the window opens; far in the future until that is known.
        end: clock time (ns) at which it closes; requests due later are not sent.
        in_flight: requests that are under way.
        void: why the block must not be used; empty when it may.
    """

    def __init__(self, check: Check, observe: Callable[[Call], None] | None = None) -> None:
        """``check`` says whether an answer is good; ``observe`` gets every good one, and must be quick."""
        self.start = _NEVER
        self.end = _NEVER
        self.in_flight = 0
        self.most_in_flight = 0
        self.void = ""
        self._check = check
        self._observe = observe
        self._good = array("q")  # payload, scheduled, sent, first byte, done of one request after the other
        self._failed_at = array("q")
        self._failed_kind = array("q")
        self._failures: dict[str, int] = {}
        self._details: dict[str, str] = {}
        self._sealed = False

    def open(self, start: int, length: int) -> None:
        """The window begins at ``start`` (clock time in ns) and is ``length`` ns long."""
        self.start = start
        self.end = start + length

    def close(self, now: int) -> None:
        """End the window at ``now`` if it would last longer."""
        self.end = min(self.end, now)

    def began(self) -> None:
        """One request is on its way."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def finished(self, call: Call) -> None:
        """The answer or the failure of a request is there."""
        self.in_flight -= 1
        if self._sealed:
            return
        if call.failure:
            self._fail(call.scheduled, call.failure, call.detail)
        elif self._check(call):
            self._good.extend((call.payload, call.scheduled, call.sent, call.first_byte, call.done))
            if self._observe is not None:
                self._observe(call)
        else:
            self._fail(call.scheduled, WRONG_ANSWER, call.detail)

    @property
    def answers(self) -> int:
        """Good answers so far, those of the lead-in included."""
        return len(self._good) // _COLUMNS

    @property
    def failures(self) -> int:
        """Failed requests so far, those of the lead-in included."""
        return len(self._failed_at)

    def response_times(self, first: int) -> IntArray:
        """Response times in ns of the good answers from number ``first`` on, in the order of their coming."""
        rows = _table(self._good[first * _COLUMNS :])
        times: IntArray = rows[:, 4] - rows[:, 1]
        return times

    def block(
        self,
        load: str,
        repetition: int,
        *,
        now: int,
        health: Health,
        restart: int = 0,
        compared: int = 0,
        server_times: Sequence[ServerTimes] = (),
    ) -> Block | None:
        """What was recorded until ``now``; None when the window had not opened yet. Later answers are ignored."""
        self._sealed = True
        window = max(min(self.end, now) - self.start, 0)
        if not window and not self.void:
            return None
        rows = _table(self._good)
        scheduled = rows[:, 1]
        failed_at = np.array(self._failed_at, dtype=np.int64) - self.start
        in_window = int(np.count_nonzero(scheduled >= self.start) + np.count_nonzero(failed_at >= 0))
        return Block(
            load=load,
            repetition=repetition,
            restart=restart,
            window_seconds=window / NS,
            offered=in_window + self.in_flight,
            payload=pack(rows[:, 0]),
            scheduled=pack(scheduled - self.start),
            send_lag=pack(rows[:, 2] - scheduled),
            first_byte=pack(rows[:, 3] - scheduled),
            response_time=pack(rows[:, 4] - scheduled),
            failed_at=pack(failed_at),
            failed_kind=pack(np.array(self._failed_kind, dtype=np.int64)),
            failures=tuple(self._failures),
            details=self._details,
            compared=compared,
            health=health,
            server_times=tuple(server_times),
            void=self.void,
            unfinished=now < self.end,
        )

    def disown(self, payload: int, scheduled: int, kind: str, detail: str) -> None:
        """Take back a good answer that a closer look found to be a failure of ``kind``."""
        rows = _table(self._good)
        for index in np.flatnonzero((rows[:, 0] == payload) & (rows[:, 1] == scheduled))[:1]:
            del self._good[index * _COLUMNS : (index + 1) * _COLUMNS]
            self._fail(scheduled, kind, detail)

    def _fail(self, scheduled: int, kind: str, detail: str) -> None:
        self._failed_at.append(scheduled)
        self._failed_kind.append(self._failures.setdefault(kind, len(self._failures)))
        if detail and kind not in self._details:
            self._details[kind] = detail


def _table(flat: array[int]) -> IntArray:
    """A copy: an array that a view looks at cannot grow."""
    return np.array(flat, dtype=np.int64).reshape(-1, _COLUMNS)
