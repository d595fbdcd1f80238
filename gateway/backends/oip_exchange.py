"""An Open Inference Protocol body over HTTP, there and back: for every backend that takes such bodies."""

from __future__ import annotations

import structlog

from gateway.backends.http_connection import HTTPAnswer
from gateway.codecs.oip_http import HEADER_LENGTH, decode_response, encode_request_parts, parse_header_length
from gateway.core.errors import (
    BackendError,
    DeadlineExceeded,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
    Unsupported,
)
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.tensors import Buffer

_log = structlog.get_logger()
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()

_ERRORS: dict[int, type[GatewayError]] = {
    404: ModelNotFound,
    408: DeadlineExceeded,
    413: PayloadTooLarge,
    429: Overloaded,
    501: Unsupported,
    502: Unavailable,
    503: Overloaded,
    504: DeadlineExceeded,
}


def to_http(request: InferRequest, *, binary: bool = True) -> tuple[list[Buffer], dict[str, str]]:
    """Body, in parts, and headers for ``request``, tensors in binary or in JSON.

    Raises:
        Unsupported: an input has no JSON form and ``binary`` is false.
    """
    body, header_length = encode_request_parts(request, binary=binary)
    headers = request.context.trace_headers()
    if header_length is None:
        headers["Content-Type"] = "application/json"
    else:
        headers["Content-Type"], headers[HEADER_LENGTH] = "application/octet-stream", str(header_length)
    return body, headers


def from_http(backend: str, answer: HTTPAnswer) -> InferResponse:
    """The response in ``answer``.

    Raises:
        GatewayError: as ``refusal`` maps it.
        BackendError: the answer breaks the protocol.
    """
    if answer.status != 200:
        # The text may hold the upstream's internals: it goes into our log and not to the client.
        _log.warning("backend refused", backend=backend, status=answer.status, answer=answer.body[:500])
        raise refusal(backend, answer)
    try:
        header_length = parse_header_length(answer.header(_HEADER_LENGTH))
    except InvalidRequest as error:
        raise BackendError(f"backend {backend!r}: {error.message}") from None
    return decode_response(answer.body, header_length)


def refusal(backend: str, answer: HTTPAnswer) -> GatewayError:
    """The error for an ``answer`` whose status is not 200; one that the table lacks is a BackendError."""
    kind = _ERRORS.get(answer.status, BackendError)
    return kind(f"backend {backend!r} refused the request (HTTP {answer.status})")
