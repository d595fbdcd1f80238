"""The head of a gRPC call (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): what its fields mean."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import grpc

from gateway.http2.header_blocks import Field, encode
from gateway.http2.server_stream import MAX_HEADERS

_CONTENT_TYPE = b"application/grpc"
_OVERHEAD = 32  # octets for which a field counts besides its name and value
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_MAX_DIGITS = 8
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_MAX_TEXT = 1000  # characters of an error, of up to 12 octets each
_RESERVED = (b"te", b"content-type")
_CODINGS = ("identity", "deflate", "gzip")

_ANSWER = [
    (b":status", b"200"),
    (b"content-type", _CONTENT_TYPE),
    (b"grpc-accept-encoding", ",".join(_CODINGS).encode()),
]
ANSWER = encode(_ANSWER)  # the header block that begins an answer
_OK = encode([(b"grpc-status", b"0")])


@dataclass(slots=True, frozen=True)
class CallHead:
    """What a call's fields say.

    Attributes:
        path: ``/package.Service/Method``.
        metadata: by key; what came several times is one list, as with the headers of HTTP. Shared between calls.
        timeout: in seconds; None without a deadline.
        coding: of compressed messages, ``identity`` where there are none.
        refusal: an encoded header block that answers a call that cannot be served; None where it can.
    """

    path: str
    metadata: Mapping[str, str]
    timeout: float | None = None
    coding: str = "identity"
    refusal: bytes | None = None


def read_head(fields: Sequence[Field]) -> CallHead:
    """What ``fields`` mean; what is wrong with them is in the ``refusal``."""
    if sum(len(name) + len(value) + _OVERHEAD for name, value in fields) > MAX_HEADERS:
        return _refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the metadata is over {MAX_HEADERS} bytes")
    first = dict(reversed(fields))
    if first.get(b":method") != b"POST" or b":path" not in first:
        return CallHead("", {}, refusal=encode([(b":status", b"405"), (b"allow", b"POST")]))
    if not first.get(b"content-type", b"").startswith(_CONTENT_TYPE):
        return CallHead("", {}, refusal=encode([(b":status", b"415")]))
    coding = first.get(b"grpc-encoding", b"identity").decode("latin-1")
    if coding not in _CODINGS:
        text = f"messages in grpc-encoding {coding[:40]!r} are not supported, those in {', '.join(_CODINGS)} are"
        return _refused(grpc.StatusCode.UNIMPLEMENTED, text)
    try:
        timeout = parse_timeout(first[b"grpc-timeout"].decode("latin-1")) if b"grpc-timeout" in first else None
    except ValueError as error:
        return _refused(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    return CallHead(first[b":path"].decode("latin-1"), _metadata(fields), timeout, coding)


def parse_timeout(text: str) -> float:
    """Seconds in a ``grpc-timeout`` such as ``100m``.

    Raises:
        ValueError: it is none.
    """
    digits, unit = text[:-1], text[-1:]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS and unit in _UNITS):
        raise ValueError(
            f"grpc-timeout: {text[:40]!r} is not up to {_MAX_DIGITS} digits and a unit of {''.join(_UNITS)}"
        )
    return int(digits) * _UNITS[unit]


def trailers(trailing: Iterable[tuple[str, str]], code: grpc.StatusCode | None = None, text: str = "") -> bytes:
    """The header block that ends an answer, with the status ``code`` (None: OK) and trailing metadata."""
    status = _OK if code is None else encode(_status(code, text))
    return status + _encoded(trailing)


def refusal(code: grpc.StatusCode, text: str, trailing: Iterable[tuple[str, str]] = ()) -> bytes:
    """The header block that is all of the answer of a call that failed."""
    return encode([*_ANSWER, *_status(code, text)]) + encode(
        [(key.encode(), value.encode()) for key, value in trailing]
    )


def _encoded(metadata: Iterable[tuple[str, str]]) -> bytes:
    return encode([(key.encode(), value.encode()) for key, value in metadata])


def _refused(code: grpc.StatusCode, text: str) -> CallHead:
    return CallHead("", {}, refusal=refusal(code, text))


def _status(code: grpc.StatusCode, text: str) -> list[Field]:
    # A block has to fit into the shortest of frames.
    message = quote(text[:_MAX_TEXT].encode("utf-8", "replace"), safe=_PRINTABLE)
    return [(b"grpc-status", b"%d" % code.value[0]), (b"grpc-message", message.encode())]


def _metadata(fields: Iterable[Field]) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for name, value in fields:
        if name.startswith((b":", b"grpc-")) or name in _RESERVED:
            continue
        key = name.decode("latin-1")
        if name.endswith(b"-bin"):
            text = ",".join(_unpack(each) for each in value.split(b","))
        else:
            text = value.decode("latin-1")
        metadata[key] = f"{metadata[key]},{text}" if key in metadata else text
    return metadata


def _unpack(value: bytes) -> str:
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4)).decode("latin-1")
    except binascii.Error:
        return value.decode("latin-1")
