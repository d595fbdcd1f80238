"""One protocol over HTTP: a table of operations, a handler for each, and a dialect for errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import unquote

import orjson

from gateway.core import errors
from gateway.core.current import CURRENT
from gateway.core.messages import RequestContext
from gateway.frontends import hints
from gateway.frontends.authorization import Caller
from gateway.frontends.operations import Operation
from gateway.frontends.server import Server
from gateway.http1.reply import Headers, Reply
from gateway.http1.request import Request

JSON: Headers = [(b"content-type", b"application/json")]

# The most specific class wins; see the tree in gateway.core.errors.
STATUS: dict[type[errors.GatewayError], int] = {
    errors.InvalidRequest: 400,
    errors.PayloadTooLarge: 413,
    errors.RequestTimeout: 408,
    errors.NotFound: 404,
    errors.Unauthenticated: 401,
    errors.PermissionDenied: 403,
    errors.RateLimited: 429,
    errors.Conflict: 409,
    errors.Unsupported: 501,
    errors.DeadlineExceeded: 504,
    errors.Unavailable: 503,
    errors.BackendError: 500,
}


def lookup(table: Mapping[type[errors.GatewayError], int], error: errors.GatewayError) -> int:
    """The entry of ``table`` for the most specific class of ``error``; 500 where it has none."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), 500)


@dataclass(slots=True)
class Exchange:
    """One HTTP request on its way through a door.

    Attributes:
        request: as it came.
        headers: by name in lower case.
        parameters: the named parts of the path, unquoted.
        body: whole and decompressed.
        route: the path of the operation that answers, with ``{name}`` for a part of it.
        context: of an inference; its measurements go into the answer's headers.
        error: why there is no answer.
    """

    request: Request
    headers: Mapping[bytes, bytes]
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    route: str = ""
    context: RequestContext | None = None
    error: BaseException | None = None

    @property
    def caller(self) -> Caller:
        """Where it comes from."""
        return Caller(self.request.client.host, self.headers.get(b"authorization", b"").decode("latin-1"))

    def fail(self, error: BaseException) -> None:
        """Keep why there is no answer."""
        errors.forget_frames(error)  # this is in one of them
        self.error = error


Handler = Callable[[Exchange], Awaitable[Reply]]


def json_reply(document: Any, status: int = 200) -> Reply:
    """An answer of ``document`` as JSON."""
    return Reply(orjson.dumps(document), JSON, status)


def header_text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    """The header ``name`` as text.

    Raises:
        InvalidRequest: it is not ASCII.
    """
    value = headers.get(name)
    if value is None:
        return None
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise errors.InvalidRequest(f"header {name.decode()}: only ASCII is allowed") from None


class HTTPDoor:
    """Base of the doors. A subclass sets the tables and implements ``handlers``, and ``error_body`` where it differs.

    Attributes:
        operations: what the door offers; inference first, as routes are searched in this order.
        segment: pattern of a ``{name}`` in a path.
        statuses: HTTP status by error.
    """

    operations: ClassVar[Sequence[Operation]]
    segment: ClassVar[str] = r"[^/]+"
    statuses: ClassVar[Mapping[type[errors.GatewayError], int]] = STATUS

    def __init__(self, server: Server) -> None:
        self.server = server

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """A handler for each implemented operation, by its key."""
        raise NotImplementedError

    def begin(self, protocol: str, exchange: Exchange) -> RequestContext:
        """The context of an inference over ``protocol``: its trace and its hints are in the headers.

        Raises:
            InvalidRequest: a hint is malformed.
        """
        headers = exchange.headers
        context = exchange.context = RequestContext(protocol, headers=headers)
        CURRENT.set(context)
        # Nothing is wrong with a request whose trace context is: the tracer ignores what it cannot read.
        context.traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        context.tracestate = headers.get(b"tracestate", b"").decode("latin-1")
        self.server.tracer.begin(
            context,
            f"{exchange.request.method} {exchange.route}",
            {"http.request.method": exchange.request.method, "http.route": exchange.route},
        )
        timeout = header_text(headers, b"x-gateway-timeout-ms")
        context.timeout = None if timeout is None else hints.parse_timeout(timeout)
        context.backend = header_text(headers, b"x-gateway-backend") or ""
        if b"cache-control" in headers:
            context.fresh = hints.wants_fresh(headers[b"cache-control"].decode("latin-1"))
        if b"x-gateway-compare" in headers:
            hints.ask_to_compare(context, header_text(headers, b"x-gateway-compare") or "")
        return context

    def error_body(self, status: int, message: str, error: errors.GatewayError | None) -> bytes:  # noqa: ARG002
        """The body of an error answer; ``error`` is None for an unknown path (404) and a wrong verb (405)."""
        return orjson.dumps({"error": message})

    def unrouted(self, method: str, path: str, allowed: Sequence[str]) -> Reply:  # noqa: ARG002
        """The answer to a request for no operation; ``allowed`` are the verbs that ``path``, still quoted, takes."""
        if allowed:
            body = self.error_body(405, f"method not allowed: {' or '.join(allowed)} is expected", None)
            return Reply(body, [*JSON, (b"allow", ", ".join(allowed).encode())], 405)
        return Reply(self.error_body(404, f"unknown path {unquote(path)[:200]!r}", None), JSON, 404)

    def refuse(self, error: errors.GatewayError) -> Reply:
        """The answer to a request that failed with ``error``."""
        status = lookup(self.statuses, error)
        headers = JSON
        if error.retry_after is not None:
            headers = [*JSON, (b"retry-after", hints.retry_after(error.retry_after).encode())]
        return Reply(self.error_body(status, error.message, error), headers, status)
