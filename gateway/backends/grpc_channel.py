"""One gRPC channel to a server: raw messages there and back, failures as the gateway's errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import grpc
import structlog

from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.core.errors import (
    AttemptTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GatewayError,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    RequestRefused,
    Unsupported,
)
from gateway.core.messages import RequestContext

_log = structlog.get_logger()

Method = Callable[..., Awaitable[bytes]]


class NotForUs(BackendError):
    """The server wants other credentials than the gateway has."""


_ERRORS: dict[grpc.StatusCode, type[GatewayError]] = {
    grpc.StatusCode.CANCELLED: ConnectionLost,  # the server is on its way out
    grpc.StatusCode.DEADLINE_EXCEEDED: AttemptTimeout,
    grpc.StatusCode.INVALID_ARGUMENT: RequestRefused,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.PERMISSION_DENIED: NotForUs,
    grpc.StatusCode.UNAUTHENTICATED: NotForUs,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: ConnectionLost,
    grpc.StatusCode.UNIMPLEMENTED: Unsupported,
}
_TOO_LARGE = "message larger than max"  # gRPC's own words; the code is that of a full queue
_SWITCHED_OFF = "not allowed"  # Triton's words for model control; the code is that of a lost connection


class GRPCChannel:
    """Speaks to one server. ``timeout`` bounds one call, in seconds; ``max_body`` a message, in bytes.

    With an entry in ``hosts`` it is found there, and called by its name.
    """

    def __init__(self, backend: str, target: str, *, timeout: float, max_body: int, hosts: Hosts = NO_HOSTS) -> None:
        self._backend = backend
        self._timeout = timeout
        self._channel = grpc.aio.insecure_channel(
            _place(target, hosts),
            options=(
                ("grpc.default_authority", target),
                ("grpc.max_receive_message_length", max_body),
                ("grpc.max_send_message_length", max_body),
                # A restarted server should be found within a health check or two, not after two minutes.
                ("grpc.initial_reconnect_backoff_ms", 100),
                # This is the time that one attempt may take: a busy server needs more than the pause between two.
                ("grpc.min_reconnect_backoff_ms", 5000),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.enable_http_proxy", 0),
                # What is not even received for so long ends the connection: a machine that is gone closes none. The
                # pings that come with this setting would offend servers, which allow one in five minutes.
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.keepalive_time_ms", 3_600_000),
            ),
        )

    def method(self, path: str) -> Method:
        """The method at ``path`` (``/package.Service/Method``), to be handed to ``call``; make it once."""
        method: Method = self._channel.unary_unary(path)
        return method

    async def call(
        self, method: Method, message: bytes, context: RequestContext | None = None, *, quiet: bool = False
    ) -> bytes:
        """The answer of ``method`` to ``message``; cancelled with the task that waits for it.

        The trace and the deadline of ``context`` go along. ``quiet`` keeps a refusal out of the log: for what is asked
        every second.

        Raises:
            ConnectFailed: nothing reached the server.
            ConnectionLost: the connection broke before the answer, or the server says that it is not available.
            DeadlineExceeded: no answer before the deadline.
            AttemptTimeout: no answer within the channel's own ``timeout``, or the server's.
            Overloaded: the server's queue is full.
            PayloadTooLarge: the message is over the limit of either side.
            ModelNotFound: the server does not know the model.
            Unsupported: the server has no such method, or it is switched off.
            RequestRefused: the server finds the request invalid.
            NotForUs: it wants credentials.
            BackendError: any other refusal.
        """
        timeout, trace = self._timeout, dict[str, str]()
        if context is not None:
            timeout, trace = min(timeout, context.time_left()), context.trace_headers()
        try:
            return await method(message, timeout=timeout, metadata=tuple(trace.items()))
        except grpc.aio.AioRpcError as error:
            if timeout < self._timeout and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(f"backend {self._backend!r} did not answer before the deadline") from None
            raise self._mapped(error, quiet=quiet) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._channel.close()

    def _mapped(self, error: grpc.aio.AioRpcError, *, quiet: bool) -> GatewayError:
        code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE and details.startswith("failed to connect"):
            return ConnectFailed(f"backend {self._backend!r} refused the connection")
        if not quiet:
            # The text may hold the upstream's internals: it goes into our log and not to the client.
            _log.warning("backend refused", backend=self._backend, code=code.name, details=details[:500])
        if _TOO_LARGE in details:
            if "CLIENT: Received" in details:
                return BackendError(f"backend {self._backend!r} gave an answer over the limit")
            return PayloadTooLarge(f"inputs: they are more than backend {self._backend!r} takes")
        if code is grpc.StatusCode.UNAVAILABLE and _SWITCHED_OFF in details:
            return Unsupported(f"backend {self._backend!r} has this switched off")
        kind = _ERRORS.get(code, BackendError)
        return kind(f"backend {self._backend!r} did not answer ({code.name})")


def _place(target: str, hosts: Hosts) -> str:
    """``target`` (host:port) with the address that ``hosts`` has for its host, if it has one."""
    parts = urlsplit(f"//{target}")
    address = hosts.get(parts.hostname or "")
    if address is None:
        return target
    return f"[{address}]:{parts.port}" if ":" in address else f"{address}:{parts.port}"
