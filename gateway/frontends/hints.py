"""Routing hints and measurements, which travel beside the message in headers or metadata on every protocol."""

from __future__ import annotations

import math
import time

from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext

BACKEND = "x-gateway-backend"
TIMEOUT_MS = "x-gateway-timeout-ms"
SERVED_BY = "x-gateway-served-by"
SERVER_TIMING = "server-timing"
CACHE_CONTROL = "cache-control"
_LONGEST_MS = 86_400_000  # a day: more is a mistake in the unit


def parse_timeout(value: str) -> float:
    """The seconds in an ``x-gateway-timeout-ms`` hint.

    Raises:
        InvalidRequest: no positive number, or more than a day.
    """
    try:
        milliseconds = float(value)
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds <= _LONGEST_MS:
        raise InvalidRequest(
            f"{TIMEOUT_MS}: a positive number of milliseconds, at most {_LONGEST_MS}, is expected, got {value[:40]!r}"
        )
    return milliseconds / 1000


def wants_fresh(cache_control: str) -> bool:
    """Whether a ``Cache-Control`` header asks for an answer that was not kept, or for this one not to be."""
    directives = {part.strip().lower() for part in cache_control.split(",")}
    return not directives.isdisjoint(("no-cache", "no-store"))


def server_timing(context: RequestContext) -> str:
    """The ``Server-Timing`` value: the disjoint parts of the time so far, in milliseconds."""
    parts = context.parts(time.perf_counter() - context.started)
    return ", ".join([f"{name};dur={seconds * 1000:.3f}" for name, seconds in parts.items()])
