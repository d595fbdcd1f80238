"""The Open Inference Protocol's HTTP front door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.codecs import oip_http as codec
from gateway.codecs.oip_raw import decode_raw_request
from gateway.codecs.shared_memory import SWITCHED_OFF, switched_off
from gateway.core.errors import NotFound
from gateway.frontends.http_door import JSON, Exchange, Handler, HTTPDoor, header_text, json_reply
from gateway.frontends.oip import bodies, inference, repository, settings
from gateway.frontends.oip import model as documents
from gateway.frontends.oip.lookup import model_called
from gateway.frontends.operations import Access, Operation
from gateway.frontends.shared_memory import SharedMemoryRegions, require_this_machine
from gateway.frontends.unread import refuse_unread
from gateway.http1.reply import Headers, Reply

_HEADER_LENGTH = codec.HEADER_LENGTH.lower().encode()
_BINARY = (b"content-type", b"application/octet-stream")
_EMPTY = Reply(b"", JSON)

_MODEL = ("/v2/models/{name}/versions/{version}", "/v2/models/{name}")
_SYSTEM = "/v2/systemsharedmemory"
_CUDA = "/v2/cudasharedmemory"
_REGION = "/region/{region}"


def _of_model(method: str, suffix: str, summary: str, *, inference: bool = False) -> list[Operation]:
    return [Operation(method, f"{prefix}{suffix}", summary, inference=inference) for prefix in reversed(_MODEL)]


class OIPDoor(HTTPDoor):
    """``/v2``."""

    operations = (
        *_of_model("POST", "/infer", "inference", inference=True),
        Operation("GET", "/v2", "server metadata"),
        Operation("GET", "/v2/health/live", "liveness"),
        Operation("GET", "/v2/health/ready", "readiness"),
        Operation("GET", "/v2/models", "names of the models"),
        Operation("GET", "/v2/models/stats", "statistics of all models"),
        *_of_model("GET", "", "model metadata"),
        *_of_model("GET", "/ready", "model readiness"),
        *_of_model("GET", "/config", "model configuration"),
        *_of_model("GET", "/stats", "model statistics"),
        Operation("POST", "/v2/repository/index", "every model known, with its state"),
        Operation("POST", "/v2/repository/models/{name}/load", "load a model, or load it anew", Access.ADMIN),
        Operation("POST", "/v2/repository/models/{name}/unload", "unload a model", Access.ADMIN),
        Operation("GET", "/v2/logging", "which log messages are written"),
        Operation("POST", "/v2/logging", "change which log messages are written", Access.ADMIN),
        Operation("GET", "/v2/trace/setting", "trace settings"),
        Operation("POST", "/v2/trace/setting", "change the trace settings", Access.ADMIN, settings.NO_TRACING),
        Operation("GET", "/v2/models/{name}/trace/setting", "trace settings of a model"),
        Operation(
            "POST",
            "/v2/models/{name}/trace/setting",
            "change the trace settings of a model",
            Access.ADMIN,
            settings.NO_TRACING,
        ),
        Operation("GET", f"{_SYSTEM}/status", "registered shared memory, for callers on this machine"),
        Operation("GET", f"{_SYSTEM}{_REGION}/status", "one registered shared memory region"),
        Operation("POST", f"{_SYSTEM}{_REGION}/register", "register a shared memory segment"),
        Operation("POST", f"{_SYSTEM}{_REGION}/unregister", "forget a shared memory region"),
        Operation("POST", f"{_SYSTEM}/unregister", "forget all shared memory regions"),
        Operation("GET", f"{_CUDA}/status", "registered CUDA memory: none"),
        Operation("GET", f"{_CUDA}{_REGION}/status", "one registered CUDA memory region: there is none"),
        Operation("POST", f"{_CUDA}{_REGION}/register", "register CUDA memory", missing=documents.NO_CUDA),
        Operation("POST", f"{_CUDA}{_REGION}/unregister", "forget CUDA memory"),
        Operation("POST", f"{_CUDA}/unregister", "forget all CUDA memory"),
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        handlers: dict[tuple[str, str], Handler] = {
            ("GET", "/v2"): _get(lambda: documents.server_metadata(self.server)),
            ("GET", "/v2/health/live"): _get(lambda: {"live": True}),
            ("GET", "/v2/health/ready"): self._ready,
            ("GET", "/v2/models"): _get(lambda: documents.model_names(self.server.catalog)),
            ("GET", "/v2/models/stats"): self._statistics,
            ("POST", "/v2/repository/index"): self._index,
            ("POST", "/v2/repository/models/{name}/load"): self._load,
            ("POST", "/v2/repository/models/{name}/unload"): self._unload,
            ("GET", "/v2/logging"): _get(lambda: settings.log_settings(self.server.logs)),
            ("POST", "/v2/logging"): self._change_logging,
            ("GET", "/v2/trace/setting"): _get(lambda: settings.TRACE_SETTINGS),
            ("GET", "/v2/models/{name}/trace/setting"): self._trace_of_model,
            ("GET", f"{_SYSTEM}/status"): self._memory_status,
            ("GET", f"{_SYSTEM}{_REGION}/status"): self._memory_status,
            ("POST", f"{_SYSTEM}{_REGION}/register"): self._register_memory,
            ("POST", f"{_SYSTEM}{_REGION}/unregister"): self._unregister_memory,
            ("POST", f"{_SYSTEM}/unregister"): self._unregister_memory,
            ("GET", f"{_CUDA}/status"): _get(list),
            ("GET", f"{_CUDA}{_REGION}/status"): _no_cuda_region,
            ("POST", f"{_CUDA}{_REGION}/unregister"): _nothing,
            ("POST", f"{_CUDA}/unregister"): _nothing,
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
        server = self.server
        context = self.begin("oip-http", exchange)
        length = codec.parse_header_length(header_text(exchange.headers, _HEADER_LENGTH))
        name, version = exchange.parameters["name"], exchange.parameters.get("version", "")
        if server.catalog.guarded:
            await refuse_unread(server, name, version, context)
        regions = server.shared_memory
        memory = SWITCHED_OFF if regions is None else regions.seen_by(exchange.caller)
        if length == 0:
            signature = model_called(server.catalog, name, version).signature
            request, form = decode_raw_request(exchange.body, signature, name, version, context)
        else:
            request, form = codec.decode_request(exchange.body, length, name, version, context, server.limits, memory)
        answer = await inference.answer(server, request, form.wishes, memory)
        payload, length = codec.encode_response(answer, form)
        headers: Headers = JSON if length is None else [_BINARY, (_HEADER_LENGTH, str(length).encode())]
        return Reply(payload, headers)

    async def _ready(self, _: Exchange) -> Reply:
        return json_reply({"ready": self.server.ready}, 200 if self.server.ready else 400)

    async def _metadata(self, exchange: Exchange) -> Reply:
        return json_reply(documents.model_metadata(self.server.catalog, **exchange.parameters))

    async def _config(self, exchange: Exchange) -> Reply:
        return json_reply(documents.model_config(self.server.catalog, **exchange.parameters))

    async def _model_ready(self, exchange: Exchange) -> Reply:
        model = model_called(self.server.catalog, **exchange.parameters)
        ready = model.ready and self.server.lifecycle.accepting
        return json_reply({"name": model.name, "ready": ready}, 200 if ready else 400)

    async def _statistics(self, exchange: Exchange) -> Reply:
        return json_reply({"model_stats": documents.statistics(self.server.catalog, **exchange.parameters)})

    async def _index(self, exchange: Exchange) -> Reply:
        return json_reply(repository.index(self.server.repository, ready=bodies.index(exchange.body).ready))

    async def _load(self, exchange: Exchange) -> Reply:
        parameters = bodies.control(exchange.body).parameters
        await repository.load(self.server.repository, exchange.parameters["name"], parameters)
        return _EMPTY

    async def _unload(self, exchange: Exchange) -> Reply:
        parameters = bodies.control(exchange.body).parameters
        await repository.unload(self.server.repository, exchange.parameters["name"], parameters)
        return _EMPTY

    async def _change_logging(self, exchange: Exchange) -> Reply:
        settings.change_log_settings(self.server.logs, bodies.settings(exchange.body))
        return json_reply(settings.log_settings(self.server.logs))

    async def _trace_of_model(self, exchange: Exchange) -> Reply:
        model_called(self.server.catalog, exchange.parameters["name"])
        return json_reply(settings.TRACE_SETTINGS)

    async def _memory_status(self, exchange: Exchange) -> Reply:
        found = self._memory(exchange).status(exchange.parameters.get("region", ""))
        return json_reply([documents.region(region) for region in found])

    async def _register_memory(self, exchange: Exchange) -> Reply:
        memory = self._memory(exchange)
        wanted = bodies.registration(exchange.body)
        memory.register(exchange.parameters["region"], wanted.key, wanted.offset, wanted.byte_size)
        return _EMPTY

    async def _unregister_memory(self, exchange: Exchange) -> Reply:
        self._memory(exchange).unregister(exchange.parameters.get("region", ""))
        return _EMPTY

    def _memory(self, exchange: Exchange) -> SharedMemoryRegions:
        if self.server.shared_memory is None:
            raise switched_off()
        require_this_machine(exchange.caller)
        return self.server.shared_memory


async def _no_cuda_region(exchange: Exchange) -> Reply:
    raise NotFound(f"CUDA memory region {exchange.parameters['region']!r} is not registered")


async def _nothing(_: Exchange) -> Reply:
    return _EMPTY


def _get(document: Callable[[], Any]) -> Handler:
    """A handler that answers a document which depends on nothing in the request."""

    async def handle(_: Exchange) -> Reply:
        return json_reply(document())

    return handle
