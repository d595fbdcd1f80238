"""The HTTP port: every protocol's operations behind one router."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import unquote

import structlog

from gateway.codecs.known_heads import LONGEST, KnownHeads
from gateway.core.errors import GatewayError, Unsupported, outcome_of
from gateway.core.messages import RequestContext
from gateway.core.span import Span
from gateway.frontends import hints
from gateway.frontends.asgi import Client, ClientDisconnected, Headers, Receive, Scope, Send, read_body, respond
from gateway.frontends.authorization import Caller
from gateway.frontends.compression import (
    MIN_ANSWER,
    OFFERED,
    Compressor,
    UnsupportedCoding,
    answer_coding,
    request_coding,
)
from gateway.frontends.http_crowd import HTTPCrowd
from gateway.frontends.http_door import Exchange, Handler, HTTPDoor, Reply
from gateway.frontends.oip.http import OIPDoor
from gateway.frontends.operations import Access, Operation, bound
from gateway.frontends.server import Server
from gateway.frontends.tfserving.http import TFServingDoor
from gateway.frontends.torchserve.http import TorchServeDoor

_log = structlog.get_logger()

# Where two doors offer the same operation, the first one answers.
DOORS: Mapping[str, type[HTTPDoor]] = {"oip": OIPDoor, "tfserving": TFServingDoor, "torchserve": TorchServeDoor}
# While draining, tells keep-alive clients to go elsewhere with their next request.
_CLOSE = (b"connection", b"close")
# To a client that is gone; the status is nginx's.
_UNREAD = Reply(b"", [], 499)
_Reader = Callable[[], Awaitable[bytes]]  # of the body


@dataclass(slots=True, frozen=True)
class _Route:
    door: HTTPDoor
    operation: Operation
    handler: Handler | None
    pattern: re.Pattern[str]


class HTTPApp:
    """The ASGI application of the HTTP port, with the chosen ``protocols``."""

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected ASGI scope {scope['type']!r}")  # uvicorn runs without lifespan
        # The raw path, because a quoted slash in a name must not split it.
        path = scope["raw_path"].decode("latin-1")
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        headers = _by_name(scope["headers"])
        caller = Caller((scope["client"] or ("",))[0], headers.get(b"authorization", b"").decode("latin-1"))
        exchange = Exchange({}, scope["method"], scope["query_string"], headers, b"", caller, client=_client(scope))
        try:
            reply = await self._answer(path, exchange, partial(read_body, scope, receive, headers, self._server.limits))
        except ClientDisconnected:
            return
        except asyncio.CancelledError as error:
            if not exchange.client.gone:
                raise
            exchange.fail(error)
            reply = _UNREAD
        if len(reply.body) >= MIN_ANSWER:
            reply = await self._compressed(reply, headers.get(b"accept-encoding"))
        if exchange.context is not None and exchange.context.span is not None:
            _end(exchange.context.span, path, reply.status, exchange.error)
        await respond(send, reply.status, reply.body, [*reply.headers, *self._tail(exchange)])

    async def _answer(self, path: str, exchange: Exchange, read: _Reader) -> Reply:
        verb = "GET" if exchange.method == "HEAD" else exchange.method
        found = self._found.get((verb, path)) or self._find(verb, path)
        if found is None:
            return self._unrouted(path, exchange)
        route, exchange.parameters = found
        exchange.route = route.operation.path
        return await self._run(route, exchange, read)

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

    def _unrouted(self, path: str, exchange: Exchange) -> Reply:
        routes = self._routes.get(_first_part(path), [])
        allowed = [route.operation.method for route in routes if route.pattern.fullmatch(path)]
        door = routes[0].door if routes else self._doors[0]
        return door.unrouted(exchange.method, path, allowed)

    async def _run(self, route: _Route, exchange: Exchange, read: _Reader) -> Reply:
        try:
            if route.operation.access is Access.ADMIN:
                self._server.authorization.require_admin(exchange.caller)
            if route.handler is None:
                raise Unsupported(route.operation.missing)
            coding = request_coding(exchange.headers.get(b"content-encoding"))
            exchange.body = await read()
            if coding:
                exchange.body = await self._compressor.inflate(exchange.body, coding, self._server.limits)
            # Who loads a model and does not wait for it wants it all the same.
            if route.operation.access is Access.PUBLIC:
                exchange.client.cancel_when_gone()
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

    def _tail(self, exchange: Exchange) -> Headers:
        """The headers that every answer ends with."""
        tail: Headers = []
        if exchange.context is not None:
            tail.append((b"server-timing", hints.server_timing(exchange.context).encode()))
            if exchange.context.served_by:
                tail.append((b"x-gateway-served-by", exchange.context.served_by.encode()))
            if exchange.context.compared:
                tail.append((b"x-gateway-compared", hints.compared(exchange.context.compared).encode()))
        if self._server.lifecycle.draining:
            tail.append(_CLOSE)
        return tail

    async def _compressed(self, reply: Reply, accept: bytes | None) -> Reply:
        """``reply`` in the coding that the client likes best, where that makes it smaller."""
        varies: Headers = [*reply.headers, (b"vary", b"accept-encoding")]
        coding = answer_coding(accept)
        body = await self._compressor.deflate(reply.body, coding) if coding else None
        if body is None:
            return replace(reply, headers=varies)
        return replace(reply, body=body, headers=[*varies, (b"content-encoding", coding)])


def _client(scope: Scope) -> Client:
    client: Client | None = scope.get("extensions", {}).get(Client.EXTENSION)
    return client or Client()


def _end(span: Span, path: str, status: int, error: BaseException | None) -> None:
    span.note({"url.scheme": "http", "url.path": path, "http.response.status_code": status})
    # By the semantic conventions, what is the client's fault does not make the span one that failed.
    span.end(outcome_of(error), error.message if isinstance(error, GatewayError) and status >= 500 else "")


def _by_name(pairs: Headers) -> dict[bytes, bytes]:
    """Headers by name; one that came several times is one list, as RFC 9110 has it, and no value can hide another."""
    headers = dict(pairs)
    if len(headers) < len(pairs):
        headers = {}
        for name, value in pairs:
            headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def _first_part(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""
