"""Every error the gateway reports, free of any transport.

    GatewayError
    ├── InvalidRequest            the request is wrong; the same request will never work
    │   ├── PayloadTooLarge       it is over one of the limits
    │   ├── RequestTimeout        it did not arrive in time
    │   └── BackendNotFound       a routing hint names a backend that does not serve the model
    ├── NotFound                  no such thing here
    │   └── ModelNotFound         unknown model or version
    ├── Denied                    the caller may not do this
    │   ├── Unauthenticated       it did not say who it is, or not convincingly
    │   └── PermissionDenied      it is known, or cannot become known, and may not
    ├── RateLimited               the client asks more often than it may
    ├── Conflict                  it contradicts the present state: already there, or being changed
    ├── Unsupported               well-formed, but this gateway or backend cannot do it
    ├── DeadlineExceeded          the request's time ran out
    │   └── AttemptTimeout        the time of one attempt on a backend did; another one may be made
    ├── Unavailable               it may work later
    │   ├── NoHealthyBackend      every backend that serves the model is down
    │   ├── ConnectFailed         a backend refused the connection: nothing was sent
    │   ├── ConnectionLost        the connection broke after the request was sent
    │   ├── Overloaded            somebody's queue is full
    │   └── QueueTimeout          its turn did not come within the time that the client gives it to wait
    └── BackendError              a backend failed while it worked on the request
        └── RequestRefused        it says that the request is at fault

Each protocol maps the tree once, at its edge; each backend has one table that maps the
errors of its client library to these. Messages reach clients: they name the field that is
wrong and never an upstream host, a file path or a stack trace.
"""

from __future__ import annotations

import asyncio
from copy import copy
from typing import ClassVar

MAX_MESSAGE = 900  # characters


class GatewayError(Exception):
    """Base of the tree. ``reason`` is the stable, low-cardinality name used in metrics.

    ``retry_after`` says in how many seconds another try may go better; None where nothing is known of that.
    """

    reason: ClassVar[str] = "internal"
    retry_after: float | None = None

    def __init__(self, message: str) -> None:
        # What a client sent may be part of it, and gRPC carries it in a header.
        if len(message) > MAX_MESSAGE:
            message = f"{message[:MAX_MESSAGE]}…"
        super().__init__(message)
        self.message = message


class InvalidRequest(GatewayError):
    """The request is malformed or does not fit the model's signature."""

    reason = "invalid_request"


class PayloadTooLarge(InvalidRequest):
    """The request is over a configured limit."""

    reason = "too_large"


class RequestTimeout(InvalidRequest):
    """The request did not arrive within the time that it is given."""

    reason = "request_timeout"


class BackendNotFound(InvalidRequest):
    """The routing hint names a backend that does not serve the model; the message has those that do."""

    reason = "backend_not_found"


class NotFound(GatewayError):
    """The named thing does not exist."""

    reason = "not_found"


class ModelNotFound(NotFound):
    """No such model, or no such version of it."""

    reason = "model_not_found"


class Denied(GatewayError):
    """The caller may not do this."""

    reason = "denied"


class Unauthenticated(Denied):
    """Credentials are needed, and none or wrong ones came."""

    reason = "unauthenticated"


class PermissionDenied(Denied):
    """No credentials would help from here."""

    reason = "permission_denied"


class RateLimited(GatewayError):
    """The client has used up what it may ask for now."""

    reason = "rate_limited"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(GatewayError):
    """It contradicts the present state."""

    reason = "conflict"


class Unsupported(GatewayError):
    """The operation or datatype is valid, but cannot be carried here."""

    reason = "unsupported"


class DeadlineExceeded(GatewayError):
    """The time that the client or the configuration allows is over."""

    reason = "deadline_exceeded"


class AttemptTimeout(DeadlineExceeded):
    """A backend did not answer within the time that the configuration gives it; the request's own is not over."""

    reason = "attempt_timeout"


class Unavailable(GatewayError):
    """Not now; the same request may succeed later."""

    reason = "unavailable"


class NoHealthyBackend(Unavailable):
    """Every backend that serves the model fails its health check."""

    reason = "no_healthy_backend"


class ConnectFailed(Unavailable):
    """The backend could not be reached and saw nothing: safe to send elsewhere."""

    reason = "connect_failed"


class ConnectionLost(Unavailable):
    """The connection broke before the answer was complete; the backend may have run the request."""

    reason = "connection_lost"


class Overloaded(Unavailable):
    """More is asked for than can be done in time; a queue is full."""

    reason = "overloaded"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueTimeout(Unavailable):
    """The request waited in a queue for as long as the client allows, and never ran."""

    reason = "queue_timeout"


class BackendError(GatewayError):
    """The backend accepted the request and failed to answer it properly."""

    reason = "backend_error"


class RequestRefused(BackendError):
    """The backend finds the request invalid.

    An error of the backend all the same where the gateway has checked all that there is to check: what is left is
    between the server and its model. ``Validate`` says otherwise where the signature leaves shapes to the server.
    """


def own_copy(error: GatewayError) -> GatewayError:
    """``error`` for one of several who raise it: each adds its own traceback, and the request that hangs on that."""
    return copy(error)


def outcome_of(error: BaseException | None) -> str:
    """The stable name of how a request ended that raised ``error``; None is a success."""
    if error is None:
        return "ok"
    if isinstance(error, GatewayError):
        return error.reason
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "internal"


def forget_frames(error: BaseException) -> None:
    """Drop the tracebacks of ``error`` and of those before it, once nobody will print them.

    They hold the frames that it passed, some of which hold the error: nothing of the request would be freed before the
    garbage collector comes, which stops the process for tens of milliseconds when there is much to free.
    """
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__context__
