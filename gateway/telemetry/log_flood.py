"""A bound on how often one message is written: while everything fails, logs must not take what is left of the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

PER_SECOND = 100
_BOUND = frozenset(("warning", "error", "critical"))  # how many others there are is somebody's setting


@dataclass(slots=True)
class _Count:
    second: int = -1
    written: int = 0
    left_out: int = 0


class LogFlood:
    """A processor that ends warnings and errors of which PER_SECOND were written in this second already.

    The next one that is written tells how many those were, as ``left_out``. Messages are told apart by their ``event``,
    which says what happened and not to whom. ``clock`` is in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, _Count] = {}

    def __call__(
        self,
        logger: object,  # noqa: ARG002
        method: str,
        event: structlog.typing.EventDict,
    ) -> structlog.typing.EventDict:
        if method not in _BOUND:
            return event
        count = self._counts.setdefault(event["event"], _Count())
        second = int(self._clock())
        if second != count.second:
            count.second, count.written = second, 0
        if count.written >= PER_SECOND:
            count.left_out += 1
            raise structlog.DropEvent
        count.written += 1
        if count.left_out:
            event["left_out"], count.left_out = count.left_out, 0
        return event
