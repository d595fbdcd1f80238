"""The admin port: for operators and orchestrators, on loopback by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from gateway.frontends.server import Server


def admin_app(server: Server, backends: Mapping[str, Mapping[str, Any]], doors: ASGIApp) -> Starlette:
    """Liveness, readiness (503 while not ready), the state of every backend, and the protocols' own operations.

    ``backends`` holds what is known of each from the configuration: kind and addresses. ``doors`` answers every other
    path, which is where loading and unloading models is.
    """

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": server.ready}, status_code=200 if server.ready else 503)

    async def list_backends(_: Request) -> Response:
        return JSONResponse({name: {**known, "models": _endpoints(name)} for name, known in backends.items()})

    def _endpoints(name: str) -> dict[str, dict[str, Any]]:
        return {
            endpoint.model: {"ready": endpoint.healthy, "problem": endpoint.problem}
            for model in server.catalog
            for endpoint in model.endpoints
            if endpoint.backend == name
        }

    routes: list[BaseRoute] = [Route("/livez", live), Route("/readyz", ready), Route("/backends", list_backends)]
    return Starlette(routes=[*routes, Mount("/", doors)])
