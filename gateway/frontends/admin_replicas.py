"""What the admin port offers for the replicas of a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.replicas import ReplicaControl
from gateway.frontends.authorization import Authorization
from gateway.frontends.guarded import guarded

_DRAIN_SECONDS = 30.0


def replica_routes(replicas: Mapping[str, ReplicaControl], authorization: Authorization) -> list[BaseRoute]:
    """``refresh`` and ``drain`` for each backend in ``replicas``; both answer with the state of all its replicas."""

    def control(request: Request) -> ReplicaControl:
        name = request.path_params["backend"]
        if name not in replicas:
            raise NotFound(f"backend {name!r} has no replicas; those that have: {', '.join(replicas) or 'none'}")
        return replicas[name]

    async def refresh(request: Request) -> Response:
        backend = control(request)
        await backend.refresh()
        return JSONResponse(told(backend))

    async def drain(request: Request) -> Response:
        backend = control(request)
        await backend.drain(request.path_params["address"], _seconds(request.query_params.get("timeout")))
        return JSONResponse(told(backend))

    return [
        Route("/backends/{backend}/replicas/refresh", guarded(refresh, authorization), methods=["POST"]),
        Route("/backends/{backend}/replicas/{address}/drain", guarded(drain, authorization), methods=["POST"]),
    ]


def told(replicas: ReplicaControl) -> dict[str, dict[str, Any]]:
    """State and requests in flight by address."""
    return {
        address: {"state": status.state, "in_flight": status.in_flight}
        for address, status in replicas.statuses().items()
    }


def _seconds(text: str | None) -> float:
    try:
        seconds = _DRAIN_SECONDS if text is None else float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise InvalidRequest(f"timeout: seconds between 0 and 86400 are expected, got {text!r}")
    return seconds
