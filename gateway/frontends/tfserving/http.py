"""TensorFlow Serving's REST front door."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.codecs import tfs_rest as codec
from gateway.frontends.http_door import JSON, Exchange, Handler, HTTPDoor, Reply
from gateway.frontends.operations import Operation

_MODEL = ("/v1/models/{name}", "/v1/models/{name}/versions/{version}")


class TFServingDoor(HTTPDoor):
    """``/v1``."""

    segment = r"[^/:]+"
    operations = (
        *[Operation("POST", f"{prefix}:predict", "inference, in row or columnar form") for prefix in _MODEL],
        *[Operation("GET", prefix, "state of the versions") for prefix in _MODEL],
        *[Operation("GET", f"{prefix}/metadata", "signatures") for prefix in _MODEL],
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        handlers: dict[tuple[str, str], Handler] = {}
        for prefix in _MODEL:
            handlers |= {
                ("POST", f"{prefix}:predict"): self._predict,
                ("GET", prefix): self._status,
                ("GET", f"{prefix}/metadata"): self._metadata,
            }
        return handlers

    async def _predict(self, exchange: Exchange) -> Reply:
        context = exchange.infer_context("tfserving-rest")
        model = self.server.catalog.get(**exchange.parameters)
        request, rows = codec.decode_predict_request(
            exchange.body, model.name, model.version, model.signature, context, self.server.limits
        )
        return Reply(codec.encode_predict_response(await self.server.infer(request), rows=rows), JSON)

    async def _status(self, exchange: Exchange) -> Reply:
        model = self.server.catalog.get(**exchange.parameters)
        return Reply(codec.encode_status([(model.version, model.ready)]), JSON)

    async def _metadata(self, exchange: Exchange) -> Reply:
        model = self.server.catalog.get(**exchange.parameters)
        return Reply(codec.encode_metadata(model.name, model.version, model.signature), JSON)
