"""TensorFlow Serving's REST front door."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.codecs import tfs_rest as codec
from gateway.core.messages import RequestContext
from gateway.frontends.asgi import Headers
from gateway.frontends.http_edge import InferEndpoint
from gateway.frontends.server import Server

_JSON: Headers = [(b"content-type", b"application/json")]


class TFSPredict(InferEndpoint):
    """``POST /v1/models/{model}[/versions/{version}]:predict``."""

    protocol = "tfserving-rest"

    async def answer(
        self, model: str, version: str, body: bytes, headers: dict[bytes, bytes], context: RequestContext
    ) -> tuple[bytes, Headers]:
        del headers  # TensorFlow Serving reads every body as JSON, whatever its headers say
        signature = self.server.catalog.get(model, version).signature
        request, rows = codec.decode_predict_request(body, model, version, signature, context, self.server.limits)
        return codec.encode_predict_response(await self.server.infer(request), rows=rows), _JSON


def tfs_routes(server: Server) -> list[BaseRoute]:
    """Model status and metadata."""

    async def status(request: Request) -> Response:
        model = server.catalog.get(**request.path_params)
        return _json(codec.encode_status([(model.version, model.ready)]))

    async def metadata(request: Request) -> Response:
        model = server.catalog.get(**request.path_params)
        return _json(codec.encode_metadata(model.name, model.version, model.signature))

    routes: list[BaseRoute] = []
    for prefix in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        routes += [Route(prefix, status), Route(f"{prefix}/metadata", metadata)]
    return routes


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
