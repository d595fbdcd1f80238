"""Any server of the Open Inference Protocol, over HTTP with binary tensors."""

from __future__ import annotations

from urllib.parse import quote

import structlog

from gateway.backends.http_client import HTTPClient
from gateway.backends.http_connection import HTTPAnswer
from gateway.codecs.oip_http import HEADER_LENGTH, decode_response, encode_request, infer_path, parse_header_length
from gateway.core.errors import BackendError, GatewayError, InvalidRequest, Overloaded, Unavailable
from gateway.core.messages import InferRequest, InferResponse

_log = structlog.get_logger()
_HEADER_LENGTH = HEADER_LENGTH.lower()


class OIPBackend:
    """ONNX Runtime behind ``gateway serve``, Triton, MLServer, KServe: whatever speaks the protocol."""

    kind = "oip"

    def __init__(self, name: str, url: str, *, timeout: float, max_body: int) -> None:
        self.name = name
        self._client = HTTPClient(name, url, timeout=timeout, max_body=max_body)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        body, header_length = encode_request(request)
        headers = {
            "Content-Type": "application/octet-stream",
            HEADER_LENGTH: str(header_length),
            "traceparent": request.context.traceparent,
        }
        answer = await self._client.post(infer_path(request.model, request.version), body, headers)
        if answer.status != 200:
            raise self._refused(answer)
        try:
            header_length = parse_header_length(answer.headers.get(_HEADER_LENGTH))
        except InvalidRequest as error:
            raise BackendError(f"backend {self.name!r}: {error.message}") from None
        return decode_response(answer.body, header_length)

    async def check(self, model: str) -> None:
        answer = await self._client.get(f"/v2/models/{quote(model, safe='')}/ready")
        if answer.status != 200:
            raise Unavailable(f"model not ready (HTTP {answer.status})")

    async def close(self) -> None:
        await self._client.close()

    def _refused(self, answer: HTTPAnswer) -> GatewayError:
        # The text may hold the upstream's internals: it goes into our log and not to the client.
        _log.warning("backend refused", backend=self.name, status=answer.status, answer=answer.body[:500])
        text = f"backend {self.name!r} refused the request (HTTP {answer.status})"
        if answer.status in (429, 503):
            return Overloaded(text)
        return BackendError(text)
