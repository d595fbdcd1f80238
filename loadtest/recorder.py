"""Keeps every measured request of one block as raw nanoseconds; summaries are made from them later, never instead."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np

from loadtest.clock import NS
from loadtest.results import Block, pack

_NEVER = 2**63 - 1


class Recorder:
    """Collects one block. Only requests that are due in its window of ``length`` ns count; ``open`` says when that is.

    Requests of the lead-in before the window are kept too, with negative times: they are in flight when it opens and
    so have their part in its throughput.
    """

    def __init__(self, length: int) -> None:
        self.start = _NEVER
        self.end = _NEVER
        self.errors: Counter[str] = Counter()
        self.void = ""
        self._length = length
        self._scheduled = array("q")
        self._sent = array("q")
        self._done = array("q")

    def open(self, start: int) -> None:
        """The window begins at ``start`` (clock time in ns)."""
        self.start = start
        self.end = start + self._length

    @property
    def answers(self) -> int:
        """Good answers so far, those of the lead-in included."""
        return len(self._done)

    def good(self, scheduled: int, sent: int, done: int) -> None:
        """One good answer; all three times are clock times in ns."""
        self._scheduled.append(scheduled)
        self._sent.append(sent)
        self._done.append(done)

    def failed(self, kind: str, scheduled: int) -> None:
        """One request without a good answer: counted, and no part of any latency."""
        if scheduled >= self.start:
            self.errors[kind] += 1

    def block(self, phase: str, repetition: int, *, now: int, generator_cpu: float) -> Block | None:
        """What was recorded until ``now``; None when the window had not opened yet."""
        window = min(self.end, now) - self.start
        if window <= 0:
            return None
        scheduled, sent, done = (np.array(times, dtype=np.int64) for times in (self._scheduled, self._sent, self._done))
        return Block(
            phase=phase,
            repetition=repetition,
            window_seconds=window / NS,
            generator_cpu=generator_cpu,
            scheduled=pack(scheduled - self.start),
            send_lag=pack(sent - scheduled),
            response_time=pack(done - scheduled),
            errors=dict(self.errors),
            void=self.void,
        )
