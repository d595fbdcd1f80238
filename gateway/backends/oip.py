"""Any server of the Open Inference Protocol, over HTTP with binary tensors."""

from __future__ import annotations

from urllib.parse import quote

from gateway.backends.http_client import HTTPClient
from gateway.backends.oip_exchange import from_http, to_http
from gateway.codecs.oip_http import infer_path
from gateway.core.backend import Backend
from gateway.core.errors import Unavailable
from gateway.core.messages import InferRequest, InferResponse


class OIPBackend(Backend):
    """ONNX Runtime behind ``gateway serve``, Triton, MLServer, KServe: whatever speaks the protocol."""

    kind = "oip"

    def __init__(self, name: str, url: str, *, timeout: float, max_body: int) -> None:
        self.name = name
        self._client = HTTPClient(name, url, timeout=timeout, max_body=max_body)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        body, headers = to_http(request)
        path = infer_path(request.model, request.version)
        return from_http(self.name, await self._client.post(path, body, headers))

    async def check(self, model: str, version: str) -> None:  # noqa: ARG002
        answer = await self._client.get(f"/v2/models/{quote(model, safe='')}/ready")
        if answer.status != 200:
            raise Unavailable(f"model not ready (HTTP {answer.status})")

    async def close(self) -> None:
        await self._client.close()
