"""TensorFlow Serving over REST, with JSON in columnar form."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.http_client import HTTPClient
from gateway.backends.http_connection import HTTPAnswer
from gateway.codecs import tfs_rest_client as codec
from gateway.codecs.tfs_json import NO_JSON_FORM
from gateway.codecs.tfs_metadata import Learned, decode_metadata_document
from gateway.codecs.tfs_model_spec import DEFAULT_SIGNATURE
from gateway.codecs.tfs_status import VersionStatus, decode_status_document
from gateway.core.capabilities import Capabilities
from gateway.core.errors import (
    BackendError,
    DeadlineExceeded,
    GatewayError,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    RequestRefused,
    Unsupported,
)
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.signatures import Signature

_log = structlog.get_logger()

_MAX_RANK = 98  # the nesting that a server may refuse is not far above
_ONE_NAN = "JSON has one token for every NaN; use gRPC"
_ERRORS: dict[int, type[GatewayError]] = {
    400: RequestRefused,
    404: ModelNotFound,
    408: DeadlineExceeded,
    413: PayloadTooLarge,
    429: Overloaded,
    501: Unsupported,
    503: Overloaded,
    504: DeadlineExceeded,
}


class TFServingOverREST:
    """``timeout`` bounds one exchange, in seconds; ``max_body`` an answer, in bytes. See ``TFServingTransport``.

    JSON has no types, so the signatures of a model are asked for before its first answer can be read, and again after
    an answer that does not fit them: the server may have loaded the model anew.
    """

    def __init__(self, backend: str, url: str, *, timeout: float, max_body: int, hosts: Hosts = NO_HOSTS) -> None:
        self.capabilities = Capabilities(
            refused=NO_JSON_FORM, one_nan=_ONE_NAN, request_bytes=max_body, max_rank=_MAX_RANK
        )
        self._backend = backend
        self._client = HTTPClient(backend, url, timeout=timeout, max_body=max_body, hosts=hosts)
        self._known: dict[tuple[str, str], Mapping[str, Learned]] = {}

    async def infer(self, request: InferRequest) -> InferResponse:
        signature = await self._signature(request)
        body = codec.encode_predict_request(request)
        path = codec.model_path(request.model, request.version)
        headers = {"Content-Type": "application/json", **request.context.trace_headers()}
        document = self._document(await self._client.post(f"{path}:predict", body, headers))
        try:
            outputs = codec.decode_outputs(document, signature)
        except BackendError:
            self._known.pop((request.model, request.version), None)
            raise
        return InferResponse(request.model, request.version, outputs)

    async def status(self, model: str, version: str) -> list[VersionStatus]:
        answer = await self._client.get(codec.model_path(model, version))
        return decode_status_document(self._document(answer, quiet=True))

    async def signatures(self, model: str, version: str) -> Mapping[str, Learned]:
        answer = await self._client.get(f"{codec.model_path(model, version)}/metadata")
        signatures = decode_metadata_document(self._document(answer))
        self._known[model, version] = signatures
        return signatures

    async def close(self) -> None:
        await self._client.close()

    async def _signature(self, request: InferRequest) -> Signature:
        known = self._known.get((request.model, request.version))
        if known is None:
            known = await self.signatures(request.model, request.version)
        name = request.signature or DEFAULT_SIGNATURE
        signature = known.get(name)
        if isinstance(signature, Signature):
            return signature
        reason = signature or "the server has none of that name"
        raise Unsupported(f"backend {self._backend!r}: signature {name!r} cannot be served over REST: {reason}")

    def _document(self, answer: HTTPAnswer, *, quiet: bool = False) -> object:
        """The document in ``answer``; ``quiet`` keeps a refusal out of the log: for what is asked every second."""
        if answer.status == 200:
            return codec.decode_document(answer.body)
        if not quiet:
            # The text may hold the upstream's internals: it goes into our log and not to the client.
            _log.warning("backend refused", backend=self._backend, status=answer.status, answer=answer.body[:500])
        kind = _ERRORS.get(answer.status, BackendError)
        raise kind(f"backend {self._backend!r} refused the request (HTTP {answer.status})")
