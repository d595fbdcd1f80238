"""What all gRPC protocols share at the edge: the request's context, the error table, trailing metadata."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping

import grpc
import structlog

from gateway.core import errors
from gateway.core.messages import RequestContext
from gateway.core.span import Span
from gateway.frontends import hints

_log = structlog.get_logger()

# The most specific class wins; see the tree in gateway.core.errors.
_CODES: dict[type[errors.GatewayError], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.PayloadTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.BackendError: grpc.StatusCode.INTERNAL,
}

# The codes that are a failure of the server.
_OURS = {
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
}


def code_of(error: errors.GatewayError) -> grpc.StatusCode:
    """The gRPC status code for ``error``."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL)


class Gate:
    """Lets calls in until it is closed; then refuses them in words that send clients elsewhere."""

    def __init__(self) -> None:
        self._closed = False
        self._told: set[Callable[[], object]] = set()

    def enter(self) -> None:
        """Raise Unavailable when the gate is closed."""
        if self._closed:
            raise errors.Unavailable("the server is shutting down")

    @contextlib.contextmanager
    def telling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call ``callback`` when the gate is closed meanwhile: for calls that go on for as long as clients like."""
        self._told.add(callback)
        try:
            yield
        finally:
            self._told.discard(callback)

    def close(self) -> None:
        """Refuse from now on."""
        self._closed = True
        for callback in list(self._told):
            callback()


class Status(Exception):
    """Ends a call with a status that no ``GatewayError`` stands for."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Code and text of ``error``; anything unexpected is logged and told as internal."""
    if isinstance(error, Status):
        return error.code, error.text
    if isinstance(error, errors.GatewayError):
        return code_of(error), error.message
    _log.error("request failed unexpectedly", protocol="grpc", exc_info=error)
    return grpc.StatusCode.INTERNAL, "internal error"


def read_hints(request: RequestContext, metadata: Mapping[str, str], remaining: float | None) -> None:
    """Fill in what ``metadata`` asks for; ``remaining`` is the time that the call's own deadline leaves, in seconds.

    Raises:
        InvalidRequest: a hint is malformed.
    """
    request.headers = metadata
    request.backend = metadata.get(hints.BACKEND, "")
    if hints.CACHE_CONTROL in metadata:
        request.fresh = hints.wants_fresh(metadata[hints.CACHE_CONTROL])
    if hints.COMPARE in metadata:
        hints.ask_to_compare(request, metadata[hints.COMPARE])
    timeout = metadata.get(hints.TIMEOUT_MS)
    if timeout is not None:
        request.timeout = hints.parse_timeout(timeout)
    if remaining is not None:
        request.timeout = remaining if request.timeout is None else min(request.timeout, remaining)


def end_span(span: Span, error: BaseException | None) -> None:
    """End the ``span`` of a call that raised ``error``; None is a success."""
    code, problem = grpc.StatusCode.OK, ""
    if isinstance(error, errors.GatewayError):
        code, problem = code_of(error), error.message
    elif isinstance(error, asyncio.CancelledError):
        code = grpc.StatusCode.CANCELLED
    elif error is not None:
        code, problem = grpc.StatusCode.INTERNAL, "internal error"
    span.note({"rpc.response.status_code": code.name})
    # By the semantic conventions, what is the client's fault does not make the span one that failed.
    span.end(errors.outcome_of(error), problem if code in _OURS else "")


def trailing_of(request: RequestContext, error: BaseException | None) -> list[tuple[str, str]]:
    """Trailing metadata: the measurements, and of an ``error`` when another try may go better."""
    trailing = [(hints.SERVER_TIMING, hints.server_timing(request))]
    if request.served_by:
        trailing.append((hints.SERVED_BY, request.served_by))
    if request.compared:
        trailing.append((hints.COMPARED, hints.compared(request.compared)))
    if isinstance(error, errors.GatewayError) and error.retry_after is not None:
        trailing.append((hints.RETRY_AFTER_MS, hints.retry_after_ms(error.retry_after)))
    return trailing
