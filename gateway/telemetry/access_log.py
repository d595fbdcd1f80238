"""The access log: one line a request, with what it asked for and how it went, and none of its data."""

from __future__ import annotations

import time
from typing import Any

import structlog

from gateway.core.errors import BackendError, GatewayError, InvalidRequest, outcome_of
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import total_bytes

_log = structlog.get_logger()

_LONGEST = 200  # characters of what a client chose
# Their messages may quote what the client sent; what a backend said is in a line of its own, which the ids lead to.
_QUOTING = (InvalidRequest, BackendError)


class AccessLines:
    """Writes them; the ids of request and trace are added to every line by ``gateway.telemetry.logs``."""

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
