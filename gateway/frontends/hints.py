"""Routing hints and measurements, which travel beside the message in headers or metadata on every protocol."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from functools import lru_cache

from gateway.core.compared import Compared
from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext

BACKEND = "x-gateway-backend"
TIMEOUT_MS = "x-gateway-timeout-ms"
SERVED_BY = "x-gateway-served-by"
SERVER_TIMING = "server-timing"
CACHE_CONTROL = "cache-control"
COMPARE = "x-gateway-compare"
COMPARED = "x-gateway-compared"
RETRY_AFTER_MS = "retry-after-ms"
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
    return _timing_format(tuple(parts)) % tuple([seconds * 1000 for seconds in parts.values()])


@lru_cache
def _timing_format(parts: tuple[str, ...]) -> str:
    return ", ".join(f"{part};dur=%.3f" for part in parts)


def retry_after(seconds: float) -> str:
    """The ``Retry-After`` value of HTTP: whole seconds, and none is too few."""
    return str(max(1, math.ceil(seconds)))


def retry_after_ms(seconds: float) -> str:
    """The same for gRPC, in whole milliseconds."""
    return str(max(1, math.ceil(seconds * 1000)))


def ask_to_compare(context: RequestContext, value: str) -> None:
    """Obey an ``x-gateway-compare`` hint: an answer that was kept would have nobody to be compared with.

    Raises:
        InvalidRequest: neither 0 nor 1.
    """
    if value not in ("0", "1"):
        raise InvalidRequest(f"{COMPARE}: 0 or 1 is expected, got {value[:40]!r}")
    if value == "1":
        context.compare = context.fresh = True


def compared(parts: Iterable[Compared]) -> str:
    """The ``x-gateway-compared`` value, in the form of ``Server-Timing``: milliseconds, largest difference, problem."""
    return ", ".join([_compared(part) for part in parts])


def _compared(part: Compared) -> str:
    text = part.backend
    if part.seconds is not None:
        text += f";dur={part.seconds * 1000:.3f}"
    if part.max_abs is not None:
        text += f";diff={part.max_abs:.3g}"
    return f"{text};problem={part.problem}" if part.problem else text
