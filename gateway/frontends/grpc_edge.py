"""What all gRPC protocols share at the edge: the request's context, the error table, trailing metadata."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import grpc
import structlog

from gateway.core import errors
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.frontends import hints
from gateway.frontends.server import Server

_log = structlog.get_logger()

Handler = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]

# The most specific class wins; see the tree in gateway.core.errors.
_CODES: dict[type[errors.GatewayError], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.PayloadTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.BackendError: grpc.StatusCode.INTERNAL,
}


def code_of(error: errors.GatewayError) -> grpc.StatusCode:
    """The gRPC status code for ``error``."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL)


class Gate:
    """Lets calls in until it is closed; then refuses them in words that send clients elsewhere."""

    def __init__(self) -> None:
        self._closed = False
        self._refused = asyncio.Event()

    def enter(self) -> None:
        """Raise Unavailable when the gate is closed."""
        if self._closed:
            self._refused.set()
            raise errors.Unavailable("the server is shutting down")

    async def close(self, *, quiet: float, limit: float) -> None:
        """Refuse from now on; returns after ``quiet`` seconds without a refusal, at the latest after ``limit``."""
        self._closed = True
        deadline = time.monotonic() + limit
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < deadline:
                self._refused.clear()
                await asyncio.wait_for(self._refused.wait(), quiet)


def method(gate: Gate, handler: Handler) -> grpc.RpcMethodHandler:
    """A unary method from bytes to bytes whose ``GatewayError``s become status codes."""

    async def guarded(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            gate.enter()
            return await handler(data, context)
        except errors.GatewayError as error:
            code, text = code_of(error), error.message
        except grpc.aio.AbortError:
            raise
        except Exception:
            _log.exception("request failed unexpectedly", protocol="grpc")
            code, text = grpc.StatusCode.INTERNAL, "internal error"
        await context.abort(code, text)
        raise AssertionError("abort returned")

    return grpc.unary_unary_rpc_method_handler(guarded)


def infer_method(
    gate: Gate,
    server: Server,
    protocol: str,
    decode: Callable[[bytes, RequestContext, Limits], InferRequest],
    encode: Callable[[InferResponse], bytes],
) -> grpc.RpcMethodHandler:
    """A method that answers inferences; ``decode`` and ``encode`` are the protocol's codec."""

    async def infer(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        call = request_context(protocol, context)
        try:
            return encode(await server.infer(decode(data, call, server.limits)))
        except errors.GatewayError as error:
            if not call.served_by:
                server.rejected(error.reason)
            raise
        finally:
            report(context, call)

    return method(gate, infer)


def request_context(protocol: str, context: grpc.aio.ServicerContext) -> RequestContext:
    """The context of a call, from its metadata and its deadline.

    Raises:
        InvalidRequest: a hint is malformed.
    """
    request = RequestContext(protocol)
    for key, value in context.invocation_metadata() or ():
        if key == hints.BACKEND:
            request.backend = _text(value)
        elif key == hints.TIMEOUT_MS:
            request.timeout = hints.parse_timeout(_text(value))
        elif key == hints.TRACEPARENT:
            request.traceparent = _text(value)
    remaining = context.time_remaining()
    if remaining is not None:
        request.timeout = remaining if request.timeout is None else min(request.timeout, remaining)
    return request


def report(context: grpc.aio.ServicerContext, request: RequestContext) -> None:
    """Send the measurements as trailing metadata."""
    trailing = [(hints.SERVER_TIMING, hints.server_timing(request))]
    if request.served_by:
        trailing.append((hints.SERVED_BY, request.served_by))
    context.set_trailing_metadata(tuple(trailing))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
