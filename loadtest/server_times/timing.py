"""The gateway's ``Server-Timing``: parsed, and added up over a sample of the answers.

The gateway's parts are disjoint: ``queue`` is the wait for a free engine in its own process, ``batch`` that for a lane
to the backend, ``backend`` the rest of the time it waited for the backend (the network between the two included),
``gateway`` its own work until the answer's head was made. What they leave of the service time was spent in the client's
transport and on the way.
"""

from __future__ import annotations

import math
import re
from random import Random

from loadtest.calls import Call
from loadtest.clock import NS
from loadtest.results.block import ServerTimes

SOURCE = "Server-Timing"
# Answers that are kept at most, which bounds the memory; a mean over a few thousand is exact enough for a bar.
_MOST_KEPT = 8192
_METRICS = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^",])+')  # between commas, and what is quoted is not looked into
_PARAMETERS = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^";])+')


def durations(value: bytes) -> dict[str, float]:
    """Seconds by metric name of a ``Server-Timing`` value; what has no readable duration is left out.

    A name that stands there several times (the gateway's behind another gateway's) is added up.
    """
    seconds: dict[str, float] = {}
    for metric in _METRICS.findall(value):
        name, *parameters = (part.strip() for part in _PARAMETERS.findall(metric) or (b"",))
        duration = next(filter(None, map(_duration, parameters)), None)
        if name and duration is not None:
            key = name.decode("latin-1")
            seconds[key] = seconds.get(key, 0.0) + duration[0]
    return seconds


def _duration(parameter: bytes) -> tuple[float] | None:
    """The seconds of a parameter ``dur``, in a tuple so that zero is not nothing."""
    key, _, text = parameter.partition(b"=")
    if key.strip().lower() != b"dur":
        return None
    try:
        milliseconds = float(text.strip().strip(b'"'))
    except ValueError:
        return None
    return (milliseconds / 1000,) if math.isfinite(milliseconds) and milliseconds >= 0 else None


class TimingSum:
    """Adds up one in ``every`` answers.

    The distance between two of them is drawn, because a server that takes turns (of two backends, say) would show only
    one of them to every second answer. Nothing is parsed while the clock runs.
    """

    def __init__(self, every: int = 16, seed: int = 0) -> None:
        self._every = every
        self._random = Random(seed).random  # noqa: S311
        self._kept: list[tuple[bytes, int]] = []
        self._until_next = 1

    def add(self, call: Call) -> None:
        """Take a good answer into account, or pass over it."""
        self._until_next -= 1
        if self._until_next > 0:
            return
        self._until_next = 1 + int(self._random() * (2 * self._every - 1))  # in the mean: every
        if not call.server_timing:
            return
        self._kept.append((call.server_timing, call.done - call.sent))
        if len(self._kept) >= _MOST_KEPT:
            del self._kept[::2]
            self._every *= 2

    @property
    def requests(self) -> int:
        """Answers that are kept; 0 when none of those looked at told anything."""
        return len(self._kept)

    def result(self) -> ServerTimes:
        """The sums over the answers that are kept."""
        seconds: dict[str, float] = {}
        for value, _ in self._kept:
            for part, duration in durations(value).items():
                seconds[part] = seconds.get(part, 0.0) + duration
        total = sum(service_time for _, service_time in self._kept)
        return ServerTimes(source=SOURCE, requests=len(self._kept), seconds=seconds, total=total / NS)
