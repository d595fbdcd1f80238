"""The Open Inference Protocol's HTTP front door."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.codecs import oip_http as codec
from gateway.core.messages import RequestContext
from gateway.frontends import oip_model
from gateway.frontends.asgi import Headers, header_text
from gateway.frontends.http_edge import InferEndpoint
from gateway.frontends.server import Server

_HEADER_LENGTH = codec.HEADER_LENGTH.lower().encode()
_JSON: Headers = [(b"content-type", b"application/json")]
_BINARY = (b"content-type", b"application/octet-stream")


class OIPInfer(InferEndpoint):
    """``POST /v2/models/{model}[/versions/{version}]/infer``."""

    protocol = "oip-http"

    async def answer(
        self, model: str, version: str, body: bytes, headers: dict[bytes, bytes], context: RequestContext
    ) -> tuple[bytes, Headers]:
        header_length = codec.parse_header_length(header_text(headers, _HEADER_LENGTH))
        request, form = codec.decode_request(body, header_length, model, version, context, self.server.limits)
        payload, header_length = codec.encode_response(await self.server.infer(request), form)
        if header_length is None:
            return payload, _JSON
        return payload, [_BINARY, (_HEADER_LENGTH, str(header_length).encode())]


def oip_routes(server: Server) -> list[BaseRoute]:
    """Every OIP path but inference: health, metadata, configuration, statistics."""

    async def server_metadata(_: Request) -> Response:
        return JSONResponse({"name": server.name, "version": server.version, "extensions": list(oip_model.EXTENSIONS)})

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": server.ready}, status_code=200 if server.ready else 400)

    async def models(_: Request) -> Response:
        return JSONResponse({"models": [model.name for model in server.catalog]})

    async def metadata(request: Request) -> Response:
        return JSONResponse(oip_model.model_metadata(server.catalog.get(**request.path_params)))

    async def config(request: Request) -> Response:
        return JSONResponse(oip_model.model_config(server.catalog.get(**request.path_params)))

    async def model_ready(request: Request) -> Response:
        model = server.catalog.get(**request.path_params)
        is_ready = model.ready and server.lifecycle.accepting
        return JSONResponse({"name": model.name, "ready": is_ready}, status_code=200 if is_ready else 400)

    async def statistics(request: Request) -> Response:
        chosen = [server.catalog.get(**request.path_params)] if request.path_params else list(server.catalog)
        return JSONResponse({"model_stats": [oip_model.model_statistics(model) for model in chosen]})

    routes: list[BaseRoute] = [
        Route("/v2", server_metadata),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route("/v2/models", models),
        Route("/v2/models/stats", statistics),
    ]
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [
            Route(prefix, metadata),
            Route(f"{prefix}/ready", model_ready),
            Route(f"{prefix}/config", config),
            Route(f"{prefix}/stats", statistics),
        ]
    return routes
