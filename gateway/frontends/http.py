"""The HTTP port: every protocol's operations behind one router."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import structlog

from gateway.core.errors import GatewayError, Unsupported
from gateway.frontends import hints
from gateway.frontends.asgi import ClientDisconnected, Headers, Receive, Scope, Send, read_body, respond
from gateway.frontends.authorization import Caller
from gateway.frontends.http_door import JSON, Exchange, Handler, HTTPDoor, Reply
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
_PARAMETER = re.compile(r"\{(\w+)\}")


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
        self._doors = [door(server) for name, door in DOORS.items() if name in protocols]
        # By the first part of the path, which leaves few patterns to try.
        self._routes: dict[str, list[_Route]] = {}
        for door in self._doors:
            for operation, handler in bound(door.operations, door.handlers()):
                route = _Route(door, operation, handler, _compile(operation.path, door.segment))
                self._routes.setdefault(_first_part(operation.path), []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected ASGI scope {scope['type']!r}")  # uvicorn runs without lifespan
        # The raw path, because a quoted slash in a name must not split it.
        path = scope["raw_path"].decode("latin-1")
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        caller = Caller((scope["client"] or ("",))[0], headers.get(b"authorization", b"").decode("latin-1"))
        exchange = Exchange({}, scope["query_string"], headers, b"", caller)
        try:
            reply = await self._answer(scope["method"], path, exchange, receive)
        except ClientDisconnected:
            return
        await respond(send, reply.status, reply.body, [*reply.headers, *self._tail(exchange)])

    async def _answer(self, method: str, path: str, exchange: Exchange, receive: Receive) -> Reply:
        routes = self._routes.get(_first_part(path), [])
        verb = "GET" if method == "HEAD" else method
        allowed: list[str] = []
        for route in routes:
            match = route.pattern.fullmatch(path)
            if match is None:
                continue
            if route.operation.method != verb:
                allowed.append(route.operation.method)
                continue
            exchange.parameters = {name: unquote(value) for name, value in match.groupdict().items()}
            return await self._run(route, exchange, receive)
        door = routes[0].door if routes else self._doors[0]
        if allowed:
            body = door.error_body(405, f"method not allowed: {' or '.join(allowed)} is expected", None)
            return Reply(body, [*JSON, (b"allow", ", ".join(allowed).encode())], 405)
        return Reply(door.error_body(404, f"unknown path {unquote(path)[:200]!r}", None), JSON, 404)

    async def _run(self, route: _Route, exchange: Exchange, receive: Receive) -> Reply:
        try:
            if route.operation.access is Access.ADMIN:
                self._server.authorization.require_admin(exchange.caller)
            if route.handler is None:
                raise Unsupported(route.operation.missing)
            self._refuse_encoded(exchange.headers)
            exchange.body = await read_body(receive, exchange.headers, self._server.limits)
            return await route.handler(exchange)
        except GatewayError as error:
            if exchange.context is None or not exchange.context.served_by:
                self._server.rejected(error.reason)
            return route.door.refuse(error)
        except ClientDisconnected:
            raise
        except Exception:
            _log.exception("request failed unexpectedly", operation=route.operation.path)
            return route.door.refuse(GatewayError("internal error"))

    def _tail(self, exchange: Exchange) -> Headers:
        """The headers that every answer ends with."""
        tail: Headers = []
        if exchange.context is not None:
            tail.append((b"server-timing", hints.server_timing(exchange.context).encode()))
            if exchange.context.served_by:
                tail.append((b"x-gateway-served-by", exchange.context.served_by.encode()))
        if self._server.lifecycle.draining:
            tail.append(_CLOSE)
        return tail

    @staticmethod
    def _refuse_encoded(headers: dict[bytes, bytes]) -> None:
        coding = headers.get(b"content-encoding", b"identity")
        if coding != b"identity":
            raise Unsupported(f"header Content-Encoding: {coding[:40].decode('latin-1')!r} is not supported")


def _first_part(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


def _compile(path: str, segment: str) -> re.Pattern[str]:
    literals_and_names = _PARAMETER.split(path)
    parts = [
        f"(?P<{part}>{segment})" if index % 2 else re.escape(part) for index, part in enumerate(literals_and_names)
    ]
    return re.compile("".join(parts))
