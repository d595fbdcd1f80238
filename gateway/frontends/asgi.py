"""Starlette's routes on our HTTP server, for what operators ask."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match

from gateway.core.limits import Limits
from gateway.http1.reply import Reply
from gateway.http1.request import Request
from gateway.http1.serving import Application

_Message = MutableMapping[str, Any]


class Routed:
    """Answers what one of ``routes`` matches, and leaves the rest to ``others``.

    A body is there as a whole before its route sees any of it; over ``limits`` it is an error of ours where it is read.
    """

    def __init__(self, routes: Sequence[BaseRoute], others: Application, limits: Limits) -> None:
        self._starlette = Starlette(routes=routes)
        self._others = others
        self._limits = limits

    async def __call__(self, request: Request) -> Reply:
        scope = _scope(request)
        if all(route.matches(scope)[0] is not Match.FULL for route in self._starlette.routes):
            return await self._others(request)
        return await self._ask(scope, request)

    async def _ask(self, scope: _Message, request: Request) -> Reply:
        reply = Reply(b"", [])
        pieces: list[bytes] = []
        received = False

        async def receive() -> _Message:
            nonlocal received
            if received:  # who asks again waits for the client to leave, until all is sent
                await asyncio.get_running_loop().create_future()
            received = True
            return {"type": "http.request", "body": await request.body(self._limits), "more_body": False}

        async def send(message: _Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = [(name, value) for name, value in message["headers"] if name != b"content-length"]
            else:
                pieces.append(message.get("body", b""))

        await self._starlette(scope, receive, send)
        reply.body = b"".join(pieces)
        return reply


def _scope(request: Request) -> _Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(request.path),
        "raw_path": request.path.encode("ascii"),
        "root_path": "",
        "query_string": request.query,
        "headers": list(request.headers.items()),
        "client": (request.client.host, 0) if request.client.host else None,
        "server": None,
    }
