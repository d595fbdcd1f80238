"""TorchServe's HTTP front door: its inference and its management API, and the KServe forms that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
import orjson

from gateway.codecs import torchserve_request as codec
from gateway.codecs.json_document import decode_json
from gateway.codecs.oip_http import HEADER_LENGTH, parse_header_length
from gateway.codecs.torchserve_parts import media_type, split_body
from gateway.codecs.torchserve_response import JSON as JSON_TYPE
from gateway.codecs.torchserve_response import encode_answer
from gateway.core import errors
from gateway.core.catalog import ServedModel
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.core.messages import InferRequest, RequestContext
from gateway.frontends.http_door import STATUS, Exchange, Handler, HTTPDoor, header_text, json_reply
from gateway.frontends.torchserve import model as documents
from gateway.frontends.torchserve.operations import HTTP_OPERATIONS, MODELS, PREDICTIONS
from gateway.http1.reply import Headers, Reply

PROTOCOL = "torchserve-http"
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()
_PARAMETERS = msgspec.json.Decoder(dict[str, Any])

_STATUSES = {**STATUS, errors.DeadlineExceeded: 408}
# TorchServe's names for errors; the most specific class wins.
_TYPES: dict[type[GatewayError], str] = {
    errors.InvalidRequest: "BadRequestException",
    errors.PayloadTooLarge: "TooLongFrameException",
    errors.NotFound: "ResourceNotFoundException",
    errors.ModelNotFound: "ModelNotFoundException",
    errors.Denied: "InvalidKeyException",
    errors.RateLimited: "TooManyRequestsException",
    errors.Conflict: "ConflictStatusException",
    errors.Unsupported: "NotImplementedException",
    errors.DeadlineExceeded: "RequestTimeoutException",
    errors.Unavailable: "ServiceUnavailableException",
}


class TorchServeDoor(HTTPDoor):
    """``/predictions``, ``/models``, ``/ping`` and the like."""

    segment = r"[^/:]+"
    operations = HTTP_OPERATIONS
    statuses = _STATUSES

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        handlers: dict[tuple[str, str], Handler] = {
            ("POST", "/models/{name}/invoke"): self._predict,
            ("POST", "/invocations"): self._invoke,
            ("GET", "/ping"): self._ping,
            ("OPTIONS", "/"): self._api,
            ("GET", "/models"): self._list,
            ("POST", "/models"): self._register,
            ("PUT", "/models/{name}/{version}/set-default"): self._set_default,
            ("POST", "/v1/models/{name}:predict"): self._predict,
            ("GET", "/v1/models/{name}"): self._ready_v1,
            ("GET", "/v1/models"): self._list_v1,
            ("POST", "/v2/models/{name}/infer"): self._infer_v2,
            ("GET", "/v2/models/{name}/ready"): self._ready_v2,
            ("GET", "/v2/health/live"): self._live_v2,
            ("GET", "/v2/health/ready"): self._server_ready_v2,
            ("GET", "/v2"): self._server_v2,
        }
        for path in PREDICTIONS:
            handlers |= {("POST", path): self._predict, ("PUT", path): self._predict}
        for path in MODELS:
            handlers |= {("GET", path): self._describe, ("DELETE", path): self._unregister}
        return handlers

    def error_body(self, status: int, message: str, error: GatewayError | None) -> bytes:
        if error is None:
            kind = "MethodNotAllowedException" if status == 405 else "ResourceNotFoundException"
        else:
            kind = next((_TYPES[each] for each in type(error).__mro__ if each in _TYPES), "InternalServerException")
        return orjson.dumps({"code": status, "type": kind, "message": message})

    # ---- inference

    async def _predict(self, exchange: Exchange) -> Reply:
        context = self.begin(PROTOCOL, exchange)
        return await self._answer(exchange, documents.find(self.server, **exchange.parameters), context)

    async def _invoke(self, exchange: Exchange) -> Reply:
        context = self.begin(PROTOCOL, exchange)
        name = _query(exchange).get("model_name", "")
        names = {model.name for model in self.server.catalog}
        if not name and len(names) == 1:
            (name,) = names
        if not name:
            raise InvalidRequest("model_name: it is required")
        return await self._answer(exchange, documents.find(self.server, name), context)

    async def _answer(self, exchange: Exchange, model: ServedModel, context: RequestContext) -> Reply:
        request, form = self._decode(exchange, model, context)
        return await self._infer(exchange, request, form, model)

    async def _infer_v2(self, exchange: Exchange) -> Reply:
        context = self.begin(PROTOCOL, exchange)
        model = documents.find(self.server, **exchange.parameters)
        length = parse_header_length(header_text(exchange.headers, _HEADER_LENGTH))
        request, form = codec.decode_oip(exchange.body, length, model, context, self.server.limits)
        return await self._infer(exchange, request, form, model)

    def _decode(
        self, exchange: Exchange, model: ServedModel, context: RequestContext
    ) -> tuple[InferRequest, codec.AnswerForm]:
        limits = self.server.limits
        content_type = header_text(exchange.headers, b"content-type") or ""
        if codec.takes_whole_bodies(model.signature):
            return codec.decode_whole(exchange.body, content_type, model, context)
        length = parse_header_length(header_text(exchange.headers, _HEADER_LENGTH))
        if length is not None:
            return codec.decode_oip(exchange.body, length, model, context, limits)
        return codec.decode_parts(split_body(exchange.body, content_type, limits.tensors), model, context, limits)

    async def _infer(
        self, exchange: Exchange, request: InferRequest, form: codec.AnswerForm, model: ServedModel
    ) -> Reply:
        if not exchange.parameters.get("version"):
            request.version = ""  # the one that it was decoded for is the latest; routing may know a better one
        body, content_type, length = encode_answer(await self.server.infer(request), form, model)
        headers: Headers = [(b"content-type", content_type.encode())] if content_type else []
        if length is not None:
            headers.append((_HEADER_LENGTH, str(length).encode()))
        return Reply(body, headers)

    # ---- management

    async def _ping(self, _: Exchange) -> Reply:
        return json_reply({"status": documents.health(self.server)}, 200 if self.server.ready else 500)

    async def _api(self, _: Exchange) -> Reply:
        paths: dict[str, dict[str, Any]] = {}
        for operation in self.operations:
            if not operation.missing:
                described = {"summary": operation.summary, "responses": {"200": {"description": "success"}}}
                paths.setdefault(operation.path, {})[operation.method.lower()] = described
        info = {"title": self.server.name, "version": self.server.version}
        return json_reply({"openapi": "3.0.1", "info": info, "paths": paths})

    async def _list(self, exchange: Exchange) -> Reply:
        query = _query(exchange)
        limit, first = (_integer(query.get(name, "")) for name in ("limit", "next_page_token"))
        return json_reply(documents.list_models(self.server, limit, first))

    async def _describe(self, exchange: Exchange) -> Reply:
        return json_reply(documents.describe(self.server, **exchange.parameters))

    async def _register(self, exchange: Exchange) -> Reply:
        given: dict[str, Any] = dict(_query(exchange))
        if media_type(header_text(exchange.headers, b"content-type") or "") == JSON_TYPE and exchange.body:
            given |= decode_json(exchange.body, _PARAMETERS, max_depth=self.server.limits.json_depth)
        url, name = (given.get(key) or "" for key in ("url", "model_name"))
        if not isinstance(url, str) or not isinstance(name, str):
            raise InvalidRequest("url, model_name: strings are expected")
        return json_reply({"status": await documents.register(self.server, url, name)})

    async def _unregister(self, exchange: Exchange) -> Reply:
        return json_reply({"status": await documents.unregister(self.server, **exchange.parameters)})

    async def _set_default(self, exchange: Exchange) -> Reply:
        return json_reply({"status": documents.set_default(self.server, **exchange.parameters)})

    # ---- KServe

    async def _ready_v1(self, exchange: Exchange) -> Reply:
        return self._ready(exchange.parameters["name"])

    async def _ready_v2(self, exchange: Exchange) -> Reply:
        return self._ready(exchange.parameters["name"])

    def _ready(self, name: str) -> Reply:
        ready = documents.ready(self.server, name)
        return json_reply({"name": name, "ready": ready}, 200 if ready else 503)

    async def _list_v1(self, _: Exchange) -> Reply:
        return json_reply({"models": sorted({model.name for model in self.server.catalog})})

    async def _live_v2(self, _: Exchange) -> Reply:
        return json_reply({"live": True})

    async def _server_ready_v2(self, _: Exchange) -> Reply:
        return json_reply({"ready": self.server.ready}, 200 if self.server.ready else 503)

    async def _server_v2(self, _: Exchange) -> Reply:
        return json_reply({"name": self.server.name, "version": self.server.version, "extensions": []})


def _query(exchange: Exchange) -> dict[str, str]:
    """The first value of each parameter in the query."""
    try:
        pairs = parse_qs(exchange.request.query.decode("ascii"), max_num_fields=100, errors="strict")
    except ValueError:
        raise InvalidRequest("query: percent-encoded UTF-8 of at most 100 parameters is expected") from None
    return {name: values[0] for name, values in pairs.items()}


def _integer(text: str) -> int:
    """TorchServe takes what is no number for not given."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
