"""TorchServe's inference API over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import structlog

from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.http_client import HTTPClient
from gateway.backends.http_connection import HTTPAnswer
from gateway.backends.oip_exchange import from_http, to_http
from gateway.backends.torchserve_keys import Keys, is_key_failure
from gateway.backends.torchserve_transport import Answer
from gateway.codecs.torchserve_parts import BODY, Part, join_multipart
from gateway.core.errors import (
    BackendError,
    DeadlineExceeded,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Buffer

_log = structlog.get_logger()

_ERRORS: dict[int, type[GatewayError]] = {
    404: ModelNotFound,
    408: DeadlineExceeded,
    413: PayloadTooLarge,
    429: Overloaded,
    503: Overloaded,  # its queue is full, or the model has no worker
}
_HANDLER_FAILED = b"InternalServerException"  # 503 too, when the handler raised


class TorchServeHTTP:
    """One server. A request that is given up leaves the worker at its work: TorchServe restarts none for it."""

    def __init__(
        self, backend: str, url: str, keys: Keys, *, timeout: float, max_body: int, hosts: Hosts = NO_HOSTS
    ) -> None:
        self._backend = backend
        self._keys = keys
        self._client = HTTPClient(backend, url, timeout=timeout, max_body=max_body, hosts=hosts)

    async def predict(self, model: str, version: str, parts: Sequence[Part], context: RequestContext) -> Answer:
        if len(parts) == 1 and parts[0].name == BODY:
            body, content_type = bytes(parts[0].data), parts[0].content_type
        else:
            body, content_type = join_multipart(parts)
        headers = {"Content-Type": content_type} if content_type else {}
        answer = await self._post(model, version, body, {**headers, **context.trace_headers()})
        return Answer(answer.body, answer.header(b"content-type") or "")

    async def infer(self, request: InferRequest, version: str, *, binary: bool) -> InferResponse:
        body, headers = to_http(request, binary=binary)
        return from_http(self._backend, await self._post(request.model, version, body, headers))

    async def ping(self) -> None:
        answer = await self._keys.authorized("inference", lambda key: self._client.get("/ping", key))
        if answer.status != 200:
            raise Unavailable(f"not healthy (HTTP {answer.status})")

    async def close(self) -> None:
        await self._client.close()

    async def _post(
        self, model: str, version: str, body: bytes | Sequence[Buffer], headers: Mapping[str, str]
    ) -> HTTPAnswer:
        path = f"/predictions/{quote(model, safe='')}" + (f"/{quote(version, safe='')}" if version else "")
        answer = await self._keys.authorized("inference", lambda key: self._client.post(path, body, {**headers, **key}))
        if answer.status != 200:
            raise _refusal(self._backend, answer)
        return answer


def _refusal(backend: str, answer: HTTPAnswer) -> GatewayError:
    """The error for an ``answer`` whose status is not 200: of the server, or of the model's handler."""
    # The text may hold the upstream's internals: it goes into our log and not to the client.
    _log.warning("backend refused", backend=backend, status=answer.status, answer=answer.body[:500])
    kind = _ERRORS.get(answer.status)
    if is_key_failure(answer) or (answer.status == 503 and _HANDLER_FAILED in answer.body):
        kind = BackendError
    elif kind is None:
        kind = InvalidRequest if 400 <= answer.status < 500 else BackendError
    return kind(f"backend {backend!r} refused the request (HTTP {answer.status})")
