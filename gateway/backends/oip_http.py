"""The Open Inference Protocol over HTTP, out: with binary tensors where the server takes them, else in JSON."""

from __future__ import annotations

import math
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import structlog

from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.http_client import HTTPClient
from gateway.backends.http_connection import HTTPAnswer
from gateway.backends.oip_description import ModelConfig, ModelMetadata, TensorMetadata, is_loaded
from gateway.backends.oip_exchange import from_http, refusal, to_http
from gateway.codecs.oip_http import infer_path
from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, ModelNotFound, Unavailable, Unsupported
from gateway.core.messages import InferRequest, InferResponse

_log = structlog.get_logger()

_TIMEOUT_MS = "x-gateway-timeout-ms"  # the protocol knows no deadline, but the server may be a gateway too
_JSON = {"Content-Type": "application/json"}
_BINARY_EXTENSION = "binary_tensor_data"
_WHY = "the server takes tensors in JSON only"
JSON_ONLY = Capabilities(
    refused={Datatype.FP16: _WHY, Datatype.BF16: _WHY},
    text_only=_WHY,
    finite_only=_WHY,
)

T = TypeVar("T")


class _ServerDocument(msgspec.Struct):
    extensions: list[str] | None = None


class _TensorDocument(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _MetadataDocument(msgspec.Struct):
    platform: str | None = None
    versions: list[str] | None = None
    inputs: list[_TensorDocument] | None = None
    outputs: list[_TensorDocument] | None = None


class _ConfigInput(msgspec.Struct):
    name: str = ""
    optional: bool = False


class _ConfigDocument(msgspec.Struct):
    max_batch_size: int = 0
    input: list[_ConfigInput] = []


class _IndexEntry(msgspec.Struct):
    name: str
    state: str | None = None


class _NamesDocument(msgspec.Struct):
    models: list[str]


class OIPOverHTTP:
    """``timeout`` bounds one exchange, in seconds; ``max_body`` an answer, in bytes.

    ``binary`` says whether the server takes binary tensors; None asks the server.
    """

    def __init__(
        self,
        backend: str,
        url: str,
        *,
        timeout: float,
        max_body: int,
        hosts: Hosts = NO_HOSTS,
        binary: bool | None = None,
    ) -> None:
        self._backend = backend
        self._client = HTTPClient(backend, url, timeout=timeout, max_body=max_body, hosts=hosts)
        self._told = binary
        self._binary = binary is not False

    async def meet(self) -> Capabilities:
        if self._told is None:
            answer = await self._client.get("/v2")
            server = self._parse(answer, _ServerDocument)
            self._binary = _BINARY_EXTENSION in (server.extensions or ())
        return EVERYTHING if self._binary else JSON_ONLY

    async def infer(self, request: InferRequest) -> InferResponse:
        body, headers = to_http(request, binary=self._binary)
        if (left := request.context.time_left()) < math.inf:
            headers[_TIMEOUT_MS] = str(max(1, math.ceil(left * 1000)))
        path = infer_path(request.model, request.version)
        return from_http(self._backend, await self._client.post(path, body, headers))

    async def check(self, model: str, version: str) -> None:
        answer = await self._client.get(f"{_path(model, version)}/ready")
        if answer.status != 200:
            raise Unavailable(f"model not ready (HTTP {answer.status})")

    async def metadata(self, model: str, version: str) -> ModelMetadata:
        answer = await self._client.get(_path(model, version))
        if answer.status in (400, 404):  # 400 is Triton's word for an unknown model
            raise ModelNotFound(f"backend {self._backend!r} has no model {model!r}")
        told = self._parse(answer, _MetadataDocument)
        inputs, outputs = (
            [TensorMetadata(tensor.name, tensor.datatype, tensor.shape) for tensor in side or ()]
            for side in (told.inputs, told.outputs)
        )
        return ModelMetadata(told.platform or "", told.versions or (), inputs, outputs)

    async def config(self, model: str, version: str) -> ModelConfig:
        answer = await self._client.get(f"{_path(model, version)}/config")
        if answer.status != 200:
            return ModelConfig()
        told = self._parse(answer, _ConfigDocument)
        return ModelConfig(told.max_batch_size, {entry.name for entry in told.input if entry.optional})

    async def models(self, *, loaded: bool) -> list[str]:
        index = await self._client.post("/v2/repository/index", b"{}", _JSON)
        if index.status == 200:
            entries = self._parse(index, list[_IndexEntry])
            names = [entry.name for entry in entries if not loaded or is_loaded(entry.state or "")]
        elif loaded:
            names = await self._listed_models()
        else:
            raise Unsupported(f"backend {self._backend!r} does not list its repository")
        return [*dict.fromkeys(names)]

    async def load(self, model: str) -> None:
        await self._control(model, "load")

    async def unload(self, model: str) -> None:
        await self._control(model, "unload")

    async def close(self) -> None:
        await self._client.close()

    async def _listed_models(self) -> list[str]:
        answer = await self._client.get("/v2/models")  # KServe's way
        if answer.status in (404, 405, 501):
            raise Unsupported(f"backend {self._backend!r} does not list its models")
        return self._parse(answer, _NamesDocument).models

    async def _control(self, model: str, verb: str) -> None:
        answer = await self._client.post(f"/v2/repository/models/{quote(model, safe='')}/{verb}", b"{}", _JSON)
        if answer.status == 200:
            return
        if answer.status == 404 and b'"error"' in answer.body:  # else it is the path that is unknown
            raise ModelNotFound(f"backend {self._backend!r} has no model {model!r}")
        if answer.status in (401, 403, 404, 405, 501) or b"not allowed" in answer.body:  # Triton's words
            raise Unsupported(f"backend {self._backend!r}: the server has no model control, or it is switched off")
        _log.warning("backend refused", backend=self._backend, status=answer.status, answer=answer.body[:500])
        raise BackendError(f"backend {self._backend!r} could not {verb} model {model!r} (HTTP {answer.status})")

    def _parse(self, answer: HTTPAnswer, kind: type[T]) -> T:
        if answer.status != 200:
            raise refusal(self._backend, answer)
        try:
            document: Any = msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError as error:
            raise BackendError(f"backend {self._backend!r} gave an answer that breaks the protocol: {error}") from None
        return document  # type: ignore[no-any-return]


def _path(model: str, version: str) -> str:
    return infer_path(model, version).removesuffix("/infer")
