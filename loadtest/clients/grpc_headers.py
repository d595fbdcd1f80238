"""The header blocks of unary gRPC calls: the request's is made once, the answers' are remembered by their bytes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

import hpack

from gateway.http2.header_blocks import HeaderDecoder

# Servers are told to use no table, so this has no state.
_decode = HeaderDecoder(0).decode
_REMEMBERED = 256  # blocks: those of most answers are all the same

_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


class Headers(NamedTuple):
    """What matters of one header block; None and empty where it says nothing.

    Attributes:
        status: of HTTP; only in the first block of an answer.
        content_type: as it is.
        code: name of the gRPC status.
        message: of the gRPC status, decoded.
        server_timing: raw.
    """

    status: str | None
    content_type: str
    code: str | None
    message: str
    server_timing: bytes


def request_headers(authority: str, method: str, metadata: Iterable[tuple[str, str]]) -> bytes:
    """The header block of a call; it refers to nothing that was sent before."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *((name.lower(), value) for name, value in metadata),
    ]
    never_indexed = [hpack.NeverIndexedHeaderTuple(*field) for field in fields]
    return bytes(hpack.Encoder().encode(never_indexed, huffman=False))


@lru_cache(_REMEMBERED)
def read_headers(block: bytes) -> Headers:
    """Decode ``block``, whose sender was told to use no table.

    Raises:
        ProtocolError: it is no header block, or refers to a table.
    """
    fields = _decode(block)
    first = {name: value.decode("latin-1") for name, value in reversed(fields)}
    return Headers(
        status=first.get(b":status"),
        content_type=first.get(b"content-type", ""),
        code=_code(first[b"grpc-status"]) if b"grpc-status" in first else None,
        message=unquote(first.get(b"grpc-message", "")),
        server_timing=b", ".join(value for name, value in fields if name == b"server-timing"),
    )


def _code(text: str) -> str:
    return _CODES[int(text)] if text.isdecimal() and int(text) < len(_CODES) else f"status {text}"
