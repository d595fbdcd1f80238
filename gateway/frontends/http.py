"""The HTTP port: inference on a short path of its own, everything else through Starlette."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import cast
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gateway.core.errors import GatewayError
from gateway.frontends.asgi import Receive, Scope, Send
from gateway.frontends.http_edge import CLOSE, InferEndpoint, respond_json, status_of
from gateway.frontends.oip_http import OIPInfer, oip_routes
from gateway.frontends.server import Server
from gateway.frontends.tfs_http import TFSPredict, tfs_routes

_OIP_INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_TFS_PREDICT = re.compile(r"/v1/models/([^/:]+)(?:/versions/([0-9]+))?:predict")


class HTTPApp:
    """The ASGI application of the HTTP port, with the chosen ``protocols``."""

    def __init__(self, server: Server, protocols: Collection[str]) -> None:
        self._lifecycle = server.lifecycle
        self._infer: list[tuple[re.Pattern[str], InferEndpoint]] = []
        routes: list[BaseRoute] = []
        if "oip" in protocols:
            self._infer.append((_OIP_INFER, OIPInfer(server)))
            routes += oip_routes(server)
        if "tfserving" in protocols:
            self._infer.append((_TFS_PREDICT, TFSPredict(server)))
            routes += tfs_routes(server)
        self._slow: ASGIApp = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _http_exception, GatewayError: _gateway_error, Exception: _bug},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected ASGI scope {scope['type']!r}")  # uvicorn runs without lifespan
        # The raw path, because a quoted slash in a name must not split it.
        path = scope["raw_path"].decode("latin-1")
        for pattern, endpoint in self._infer:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if scope["method"] != "POST":
                await respond_json(send, 405, {"error": "method not allowed: POST is expected"}, [(b"allow", b"POST")])
                return
            name, version = match.groups(default="")
            await endpoint(unquote(name), unquote(version), scope, receive, send)
            return
        await self._slow(scope, receive, _closing(send) if self._lifecycle.draining else send)


def _closing(send: Send) -> Send:
    async def closing(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", [])
            message = {**message, "headers": [*headers, CLOSE]}  # type: ignore[misc]
        await send(message)

    return closing  # type: ignore[return-value]


async def _http_exception(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)  # Starlette's table is keyed by class and typed by the base
    what = f"unknown path {request.url.path!r}" if error.status_code == 404 else error.detail.lower()
    return JSONResponse({"error": what}, status_code=error.status_code, headers=error.headers)


async def _gateway_error(_: Request, error: Exception) -> Response:
    error = cast("GatewayError", error)
    return JSONResponse({"error": error.message}, status_code=status_of(error))


async def _bug(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "internal error"}, status_code=500)
