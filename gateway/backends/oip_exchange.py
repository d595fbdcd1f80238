"""An Open Inference Protocol body over HTTP, there and back: for every backend that takes such bodies."""

from __future__ import annotations

import structlog

from gateway.backends.http_connection import HTTPAnswer
from gateway.codecs.oip_http import HEADER_LENGTH, decode_response, encode_request, parse_header_length
from gateway.core.errors import BackendError, InvalidRequest, Overloaded
from gateway.core.messages import InferRequest, InferResponse

_log = structlog.get_logger()
_HEADER_LENGTH = HEADER_LENGTH.lower()


def to_http(request: InferRequest) -> tuple[bytes, dict[str, str]]:
    """Body and headers for ``request``, tensors in binary."""
    body, header_length = encode_request(request)
    return body, {
        "Content-Type": "application/octet-stream",
        HEADER_LENGTH: str(header_length),
        "traceparent": request.context.traceparent,
    }


def from_http(backend: str, answer: HTTPAnswer) -> InferResponse:
    """The response in ``answer``.

    Raises:
        Overloaded: the server says so.
        BackendError: it refused, or its answer breaks the protocol.
    """
    if answer.status != 200:
        # The text may hold the upstream's internals: it goes into our log and not to the client.
        _log.warning("backend refused", backend=backend, status=answer.status, answer=answer.body[:500])
        kind = Overloaded if answer.status in (429, 503) else BackendError
        raise kind(f"backend {backend!r} refused the request (HTTP {answer.status})")
    try:
        header_length = parse_header_length(answer.headers.get(_HEADER_LENGTH))
    except InvalidRequest as error:
        raise BackendError(f"backend {backend!r}: {error.message}") from None
    return decode_response(answer.body, header_length)
