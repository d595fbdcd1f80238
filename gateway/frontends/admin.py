"""The admin port: for operators and orchestrators, on loopback by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog
from gateway.core.live_config import ConfigControl
from gateway.core.mirror_tally import MirrorFindings
from gateway.core.replicas import ReplicaControl
from gateway.frontends.admin_config import config_routes
from gateway.frontends.admin_replicas import replica_routes, told
from gateway.frontends.admin_shadow import shadow_routes
from gateway.frontends.asgi import Routed
from gateway.frontends.server import Server
from gateway.http1.serving import Application


def admin_app(
    server: Server,
    backends: Mapping[str, Mapping[str, Any]],
    replicas: Mapping[str, ReplicaControl],
    config: ConfigControl,
    mirrored: MirrorFindings,
    doors: Application,
) -> Routed:
    """Liveness, readiness (503 while not ready), the state of every backend, and the protocols' own operations.

    ``backends`` holds what is known of each from the configuration: kind and addresses; ``replicas`` those of them that
    may be several servers; ``config`` is the configuration in force; ``mirrored`` what shadows and comparisons found.
    ``doors`` answers every other path, which is where loading and unloading models is.
    """

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": server.ready}, status_code=200 if server.ready else 503)

    async def list_backends(_: Request) -> Response:
        return JSONResponse({name: {**known, **state(name)} for name, known in backends.items()})

    def state(name: str) -> dict[str, Any]:
        found = told(replicas[name]) if name in replicas else {}
        return {"models": _models_of(name, server.catalog), "replicas": found}

    routes: list[BaseRoute] = [Route("/livez", live), Route("/readyz", ready), Route("/backends", list_backends)]
    routes += replica_routes(replicas, server.authorization)
    routes += config_routes(config, server.authorization)
    routes += shadow_routes(mirrored, server.authorization)
    return Routed(routes, doors, server.limits)


def _models_of(backend: str, catalog: Catalog) -> dict[str, dict[str, Any]]:
    """The models on ``backend``: each is ready when all its versions are, and tells the first problem of them."""
    models: dict[str, dict[str, Any]] = {}
    for model in catalog:
        for endpoint in model.endpoints:
            if endpoint.backend == backend:
                versions = models.setdefault(model.name, {"ready": True, "problem": "", "versions": {}})
                state = versions["versions"][model.version] = _state(endpoint)
                versions["ready"] = versions["ready"] and state["ready"]
                versions["problem"] = versions["problem"] or state["problem"]
    return models


def _state(endpoint: Endpoint) -> dict[str, Any]:
    refusal = f"it cannot carry the model: {endpoint.refusal}" if endpoint.refusal else ""
    return {"ready": endpoint.healthy and not refusal, "problem": endpoint.problem or refusal}
