"""The HTTP port: every protocol's operations behind one router."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

import structlog

from gateway.codecs.known_heads import LONGEST, KnownHeads
from gateway.core.errors import GatewayError, Unsupported, outcome_of
from gateway.core.messages import RequestContext
from gateway.core.span import Span
from gateway.frontends import hints
from gateway.frontends.compression import (
    MIN_ANSWER,
    OFFERED,
    Compressor,
    UnsupportedCoding,
    answer_coding,
    request_coding,
)
from gateway.frontends.http_crowd import HTTPCrowd
from gateway.frontends.http_door import Exchange, Handler, HTTPDoor
from gateway.frontends.oip.http import OIPDoor
from gateway.frontends.operations import Access, Operation, bound
from gateway.frontends.server import Server
from gateway.frontends.tfserving.http import TFServingDoor
from gateway.frontends.torchserve.http import TorchServeDoor
from gateway.http1.client import ClientDisconnected
from gateway.http1.reply import Headers, Reply
from gateway.http1.request import Request

_log = structlog.get_logger()

# Where two doors offer the same operation, the first one answers.
DOORS: Mapping[str, type[HTTPDoor]] = {"oip": OIPDoor, "tfserving": TFServingDoor, "torchserve": TorchServeDoor}
# The answer to a client that is gone; the status is nginx's.
_UNREAD = 499


@dataclass(slots=True, frozen=True)
class _Route:
    door: HTTPDoor
    operation: Operation
    handler: Handler | None
    pattern: re.Pattern[str]


class HTTPApp:
    """The application of the HTTP port, with the chosen ``protocols``."""

    def __init__(self, server: Server, protocols: Collection[str]) -> None:
        self._server = server
        self._compressor = Compressor()
        self._doors = [door(server) for name, door in DOORS.items() if name in protocols]
        # By the first part of the path, which leaves few patterns to try.
        self._routes: dict[str, list[_Route]] = {}
        for door in self._doors:
            for operation, handler in bound(door.operations, door.handlers()):
                route = _Route(door, operation, handler, operation.pattern(door.segment))
                self._routes.setdefault(_first_part(operation.path), []).append(route)
        self._found: KnownHeads[tuple[str, str], tuple[_Route, Mapping[str, str]]] = KnownHeads()

    @property
    def crowd(self) -> HTTPCrowd:
        """Which requests for these protocols are turned away in a crowd."""
        return HTTPCrowd(self._server.crowd, [(each, door.segment) for door in self._doors for each in door.operations])

    async def __call__(self, request: Request) -> Reply:
        """The answer to ``request``.

        Raises:
            ClientDisconnected: there is nobody who would read it.
        """
        path = request.path  # as it came, because a quoted slash in a name must not split it
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        exchange = Exchange(request, request.headers)
        try:
            reply = await self._answer(path, exchange)
        except asyncio.CancelledError as error:
            if not request.client.gone:
                raise
            exchange.fail(error)
            reply = Reply(b"", [], _UNREAD)
        if len(reply.body) >= MIN_ANSWER:
            reply = await self._compressed(reply, request.headers.get(b"accept-encoding"))
        context = exchange.context
        if context is not None:
            if context.span is not None:
                _end(context.span, path, reply.status, exchange.error)
            reply = Reply(reply.body, [*reply.headers, *_measured(context)], reply.status)
        if self._server.lifecycle.draining:
            # Tells clients to go elsewhere with their next request.
            request.keep_alive = False
        return reply

    async def _answer(self, path: str, exchange: Exchange) -> Reply:
        verb = "GET" if exchange.request.method == "HEAD" else exchange.request.method
        found = self._found.get((verb, path)) or self._find(verb, path)
        if found is None:
            return self._unrouted(path, exchange.request)
        route, exchange.parameters = found
        exchange.route = route.operation.path
        return await self._run(route, exchange)

    def _find(self, verb: str, path: str) -> tuple[_Route, Mapping[str, str]] | None:
        """Which operation it is, and the names in its path."""
        for route in self._routes.get(_first_part(path), ()):
            match = route.operation.method == verb and route.pattern.fullmatch(path)
            if match:
                found = route, {name: unquote(value) for name, value in match.groupdict().items()}
                if len(path) <= LONGEST:
                    self._found.keep((verb, path), found)
                return found
        return None

    def _unrouted(self, path: str, request: Request) -> Reply:
        routes = self._routes.get(_first_part(path), [])
        allowed = [route.operation.method for route in routes if route.pattern.fullmatch(path)]
        door = routes[0].door if routes else self._doors[0]
        return door.unrouted(request.method, path, allowed)

    async def _run(self, route: _Route, exchange: Exchange) -> Reply:
        try:
            if route.operation.access is Access.ADMIN:
                self._server.authorization.require_admin(exchange.caller)
            if route.handler is None:
                raise Unsupported(route.operation.missing)
            coding = request_coding(exchange.headers.get(b"content-encoding"))
            exchange.body = await exchange.request.body(self._server.limits)
            if coding:
                exchange.body = await self._compressor.inflate(exchange.body, coding, self._server.limits)
            # Who loads a model and does not wait for it wants it all the same.
            if route.operation.access is Access.PUBLIC:
                exchange.request.client.cancel_when_gone()
            return await route.handler(exchange)
        except GatewayError as error:
            if exchange.context is None or not exchange.context.served_by:
                self._server.rejected(error, exchange.context or RequestContext("http"))
            exchange.fail(error)
            reply = route.door.refuse(error)
            if isinstance(error, UnsupportedCoding):
                reply = replace(reply, headers=[*reply.headers, (b"accept-encoding", OFFERED)])
            return reply
        except ClientDisconnected:
            raise
        except Exception:
            _log.exception("request failed unexpectedly", operation=route.operation.path)
            internal = GatewayError("internal error")
            exchange.fail(internal)
            return route.door.refuse(internal)

    async def _compressed(self, reply: Reply, accept: bytes | None) -> Reply:
        """``reply`` in the coding that the client likes best, where that makes it smaller."""
        varies: Headers = [*reply.headers, (b"vary", b"accept-encoding")]
        coding = answer_coding(accept)
        body = await self._compressor.deflate(reply.body, coding) if coding else None
        if body is None:
            return replace(reply, headers=varies)
        return replace(reply, body=body, headers=[*varies, (b"content-encoding", coding)])


def _measured(context: RequestContext) -> Headers:
    """The headers that the answer to an inference ends with."""
    headers: Headers = [(b"server-timing", hints.server_timing(context).encode())]
    if context.served_by:
        headers.append((b"x-gateway-served-by", context.served_by.encode()))
    if context.compared:
        headers.append((b"x-gateway-compared", hints.compared(context.compared).encode()))
    return headers


def _end(span: Span, path: str, status: int, error: BaseException | None) -> None:
    span.note({"url.scheme": "http", "url.path": path, "http.response.status_code": status})
    # By the semantic conventions, what is the client's fault does not make the span one that failed.
    span.end(outcome_of(error), error.message if isinstance(error, GatewayError) and status >= 500 else "")


def _first_part(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""
