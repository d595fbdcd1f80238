"""The Open Inference Protocol's HTTP front door."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.codecs import oip_http as codec
from gateway.frontends.asgi import Headers, header_text
from gateway.frontends.http_door import JSON, Exchange, Handler, HTTPDoor, Reply, json_reply
from gateway.frontends.oip import model as documents
from gateway.frontends.operations import Operation

_HEADER_LENGTH = codec.HEADER_LENGTH.lower().encode()
_BINARY = (b"content-type", b"application/octet-stream")

_MODEL = ("/v2/models/{name}/versions/{version}", "/v2/models/{name}")


def _of_model(method: str, suffix: str, summary: str) -> list[Operation]:
    return [Operation(method, f"{prefix}{suffix}", summary) for prefix in reversed(_MODEL)]


class OIPDoor(HTTPDoor):
    """``/v2``."""

    operations = (
        *_of_model("POST", "/infer", "inference"),
        Operation("GET", "/v2", "server metadata"),
        Operation("GET", "/v2/health/live", "liveness"),
        Operation("GET", "/v2/health/ready", "readiness"),
        Operation("GET", "/v2/models", "names of the models"),
        Operation("GET", "/v2/models/stats", "statistics of all models"),
        *_of_model("GET", "", "model metadata"),
        *_of_model("GET", "/ready", "model readiness"),
        *_of_model("GET", "/config", "model configuration"),
        *_of_model("GET", "/stats", "model statistics"),
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        handlers: dict[tuple[str, str], Handler] = {
            ("GET", "/v2"): self._server_metadata,
            ("GET", "/v2/health/live"): self._live,
            ("GET", "/v2/health/ready"): self._ready,
            ("GET", "/v2/models"): self._models,
            ("GET", "/v2/models/stats"): self._statistics,
        }
        for prefix in _MODEL:
            handlers |= {
                ("POST", f"{prefix}/infer"): self._infer,
                ("GET", prefix): self._metadata,
                ("GET", f"{prefix}/ready"): self._model_ready,
                ("GET", f"{prefix}/config"): self._config,
                ("GET", f"{prefix}/stats"): self._statistics,
            }
        return handlers

    async def _infer(self, exchange: Exchange) -> Reply:
        context = exchange.infer_context("oip-http")
        length = codec.parse_header_length(header_text(exchange.headers, _HEADER_LENGTH))
        name, version = exchange.parameters["name"], exchange.parameters.get("version", "")
        request, form = codec.decode_request(exchange.body, length, name, version, context, self.server.limits)
        payload, length = codec.encode_response(await self.server.infer(request), form)
        headers: Headers = JSON if length is None else [_BINARY, (_HEADER_LENGTH, str(length).encode())]
        return Reply(payload, headers)

    async def _server_metadata(self, _: Exchange) -> Reply:
        return json_reply(documents.server_metadata(self.server))

    async def _live(self, _: Exchange) -> Reply:
        return json_reply({"live": True})

    async def _ready(self, _: Exchange) -> Reply:
        return json_reply({"ready": self.server.ready}, 200 if self.server.ready else 400)

    async def _models(self, _: Exchange) -> Reply:
        return json_reply({"models": list(dict.fromkeys(model.name for model in self.server.catalog))})

    async def _metadata(self, exchange: Exchange) -> Reply:
        return json_reply(documents.model_metadata(self.server.catalog, **exchange.parameters))

    async def _config(self, exchange: Exchange) -> Reply:
        return json_reply(documents.model_config(self.server.catalog.get(**exchange.parameters)))

    async def _model_ready(self, exchange: Exchange) -> Reply:
        model = self.server.catalog.get(**exchange.parameters)
        ready = model.ready and self.server.lifecycle.accepting
        return json_reply({"name": model.name, "ready": ready}, 200 if ready else 400)

    async def _statistics(self, exchange: Exchange) -> Reply:
        return json_reply({"model_stats": documents.statistics(self.server.catalog, **exchange.parameters)})
