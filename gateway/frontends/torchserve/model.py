"""What TorchServe's management API tells of the models, and does with them, the same over HTTP and gRPC."""

from __future__ import annotations

import re
from typing import Any

from gateway.codecs.torchserve_versions import decimal_version
from gateway.core.backend import Endpoint
from gateway.core.catalog import ServedModel
from gateway.core.errors import Conflict, InvalidRequest, PermissionDenied, Unavailable, Unsupported
from gateway.frontends.server import Server

MAX_PAGE = 100
ALL = "all"
_ARCHIVE = re.compile(r"([^./\\:][^/\\:]*?)(?:\.mar)?")


def health(server: Server) -> str:
    """The server's health, in TorchServe's word."""
    return "Healthy" if server.ready else "Unhealthy"


def find(server: Server, name: str, version: str = "") -> ServedModel:
    """The model; ``version`` as TorchServe writes it, empty for the latest. Raises as ``Catalog.get``."""
    if version:
        for model in server.catalog.versions(name):
            # What the gateway calls 1 may be 1.5 on the backend.
            if version == model.version or any(version == endpoint.version for endpoint in model.endpoints):
                return model
    return server.catalog.get(name, decimal_version(version))


def list_models(server: Server, limit: int, first: int) -> dict[str, Any]:
    """One page of the models' names; a ``limit`` out of range is TorchServe's 100."""
    limit = limit if 0 < limit <= MAX_PAGE else MAX_PAGE
    names = sorted({model.name for model in server.catalog})
    last = max(0, first) + limit
    page: dict[str, Any] = {"nextPageToken": str(last)} if last < len(names) else {}
    page["models"] = [{"modelName": name, "modelUrl": f"{name}.mar"} for name in names[max(0, first) : last]]
    return page


def describe(server: Server, name: str, version: str = "") -> list[dict[str, Any]]:
    """The documents of one version, or of all."""
    models = server.catalog.versions(name) if version == ALL else [find(server, name, version)]
    return [_describe(model) for model in models]


async def register(server: Server, url: str, name: str) -> str:
    """Load a model that the store or a backend has; returns what TorchServe says then.

    Raises:
        PermissionDenied: ``url`` is a URL or a path: the gateway fetches nothing that a client names.
        Conflict: the model is served already.
        GatewayError: as ``Repository.load``.
    """
    if not url:
        raise InvalidRequest("url: it is required")
    archive = _ARCHIVE.fullmatch(url)
    if archive is None:
        raise PermissionDenied("url: only the name of a model is taken, such as squeezenet.mar; nothing is fetched")
    if name not in ("", archive[1]):
        raise InvalidRequest(f"model_name: it must be the archive's name {archive[1]!r}, or left out")
    if archive[1] in {model.name for model in server.catalog}:
        raise Conflict(f"model {archive[1]!r} is already registered")
    await server.repository.load(archive[1])
    model = server.catalog.get(archive[1])
    return f'Model "{model.name}" Version: {model.version} registered with {len(model.endpoints)} initial workers'


async def unregister(server: Server, name: str, version: str = "") -> str:
    """Serve the model no more; returns what TorchServe says then.

    Raises:
        ModelNotFound: no such model or version.
        Unsupported: it has more versions than the one that is named.
        GatewayError: as ``Repository.unload``.
    """
    if version:
        find(server, name, version)
        if len(server.catalog.versions(name)) > 1:
            raise Unsupported(f"model {name!r}: its versions are unloaded together; leave the version out")
    await server.repository.unload(name)
    return f'Model "{name}" unregistered'


def set_default(server: Server, name: str, version: str) -> str:
    """Take the latest version for the default one, as it is; returns what TorchServe says then.

    Raises:
        ModelNotFound: no such model or version.
        Unsupported: it is an older version.
    """
    model = find(server, name, version)
    if model is not find(server, name):
        raise Unsupported(f"model {name!r}: a request without a version gets the latest one; labels name others")
    return f'Default version successfully updated for model "{name}" to "{version}"'


def ready(server: Server, name: str) -> bool:
    """Whether the model can answer now.

    Raises:
        ModelNotFound: no such model.
    """
    try:
        return find(server, name).ready
    except Unavailable:
        return False


def _describe(model: ServedModel) -> dict[str, Any]:
    workers = [_worker(endpoint) for endpoint in model.endpoints]
    return {
        "modelName": model.name,
        "modelVersion": model.version,
        "modelUrl": f"{model.name}.mar",
        "runtime": "python",
        "minWorkers": len(workers),
        "maxWorkers": len(workers),
        "batchSize": max(1, model.max_batch_size),
        "maxBatchDelay": 0,
        "workers": workers,
        "jobQueueStatus": {"pendingRequests": sum(endpoint.load.in_flight for endpoint in model.endpoints)},
    }


def _worker(endpoint: Endpoint) -> dict[str, Any]:
    """A backend that serves the model, in the words for a worker process."""
    return {
        "id": endpoint.backend,
        "status": "READY" if endpoint.healthy else "UNLOADING",
        "memoryUsage": 0,
        "pid": 0,
        "gpu": False,
        "gpuUsage": "N/A",
    }
