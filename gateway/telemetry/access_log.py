"""The access log: one line a request, with what it asked for and how it went, and none of its data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import structlog

from gateway.core.errors import BackendError, GatewayError, InvalidRequest, outcome_of
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import total_bytes

_log = structlog.get_logger()

_LONGEST = 200  # characters of what a client chose
# In a crowd thousands of requests a second are turned away, for little more than a look at their heads.
_SECONDS_BETWEEN_TURNED_AWAY = 1.0
# Their messages may quote what the client sent; what a backend said is in a line of its own, which the ids lead to.
_QUOTING = (InvalidRequest, BackendError)


class AccessLines:
    """Writes them; the ids of request and trace are added to every line by ``gateway.telemetry.logs``.

    ``clock`` is in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turned_away_until = -math.inf  # no line for another one
        self._left_out = 0

    def answered(self, request: InferRequest, response: InferResponse) -> None:
        """``request`` was sampled, and has its ``response``."""
        _log.info(
            "request",
            **_asked(request, response.version),
            outcome="ok",
            **_times(request.context),
            bytes_out=total_bytes(response.outputs),
        )

    def failed(self, request: InferRequest, error: BaseException) -> None:
        """``request`` reached the stack, and ended with ``error``."""
        _log.warning("request", **_asked(request, request.version), **_failure(error), **_times(request.context))

    def refused(self, error: GatewayError, context: RequestContext) -> None:
        """A front door could not make a request of what it got."""
        _log.warning("request", protocol=context.protocol, **_failure(error), **_times(context))

    def turned_away(self, address: bytes, limit: float) -> None:
        """Nothing was made of a request for ``address``, because as many as the ``limit`` are under way.

        One a second is written, and how many were not since the one before.
        """
        now = self._clock()
        if now < self._turned_away_until:
            self._left_out += 1
            return
        self._turned_away_until, left_out = now + _SECONDS_BETWEEN_TURNED_AWAY, self._left_out
        self._left_out = 0
        path = address.partition(b"?")[0].decode("latin-1")[:_LONGEST]  # a query may have a secret in it
        _log.warning("turned away", outcome="crowded", path=path, limit=round(limit), left_out=left_out)


def _asked(request: InferRequest, version: str) -> dict[str, Any]:
    return {
        "protocol": request.context.protocol,
        "model": request.model[:_LONGEST],
        "version": version[:_LONGEST],
        "backend": request.context.served_by,
        "bytes_in": total_bytes(request.inputs),
    }


def _failure(error: BaseException) -> dict[str, Any]:
    told = isinstance(error, GatewayError) and not isinstance(error, _QUOTING)
    return {"outcome": outcome_of(error), **({"problem": str(error)} if told else {})}


def _times(context: RequestContext) -> dict[str, Any]:
    """In milliseconds; all but the duration are parts of it, as in ``Server-Timing``."""
    duration = time.perf_counter() - context.started
    times = {"duration": duration, **context.parts(duration)}
    return {f"{name}_ms": round(seconds * 1000, 3) for name, seconds in times.items()}
