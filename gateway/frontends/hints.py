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


def parse_timeout(value: str) -> float:
    """The seconds in an ``x-gateway-timeout-ms`` hint.

    Raises:
        InvalidRequest: no positive, finite number.
    """
    try:
        milliseconds = float(value)
    except ValueError:
        milliseconds = math.nan
    if not (math.isfinite(milliseconds) and milliseconds > 0):
        raise InvalidRequest(f"{TIMEOUT_MS}: a positive number of milliseconds is expected, got {value[:40]!r}")
    return milliseconds / 1000


def server_timing(context: RequestContext) -> str:
    """The ``Server-Timing`` value: time in the queue, in the backend and in the gateway so far, in milliseconds."""
    queue, both = context.queue_seconds * 1000, context.backend_seconds * 1000
    gateway = max(0.0, (time.perf_counter() - context.started) * 1000 - both)
    return f"queue;dur={queue:.3f}, backend;dur={max(0.0, both - queue):.3f}, gateway;dur={gateway:.3f}"
