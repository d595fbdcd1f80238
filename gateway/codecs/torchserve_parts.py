"""The named parts that TorchServe hands a model's handler: of a plain body, of a form, of a gRPC message's map."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from gateway.core.errors import InvalidRequest, PayloadTooLarge
from gateway.core.tensors import Buffer

BODY = "body"  # TorchServe's name for a body that is no form

_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb';\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_ESCAPED = re.compile(rb"\\(.)")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,256}")
_MAX_HEAD = 8192  # bytes of one part's headers


@dataclass(slots=True, frozen=True)
class Part:
    """One part; ``content_type`` is in lower case without its parameters, and empty when the client gave none."""

    name: str
    data: Buffer
    content_type: str = ""


def media_type(content_type: str) -> str:
    """The type itself, in lower case, without parameters such as ``charset``."""
    return content_type.partition(";")[0].strip().lower()


def is_content_type(value: object) -> bool:
    """Whether ``value`` can be the value of a Content-Type header, and of nothing more."""
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None


def split_body(body: bytes, content_type: str, max_parts: int) -> list[Part]:
    """The parts of an HTTP ``body`` of the full ``content_type``, by TorchServe's rules.

    Raises:
        InvalidRequest: a form is malformed.
        PayloadTooLarge: it has more than ``max_parts`` parts.
    """
    kind = media_type(content_type)
    if kind == _MULTIPART:
        return _split_multipart(body, content_type, max_parts)
    if kind == _URLENCODED:
        return _split_urlencoded(body, max_parts)
    return [Part(BODY, body, kind)]


def join_multipart(parts: Sequence[Part]) -> tuple[bytes, str]:
    """A multipart body of ``parts``, and its content type."""
    boundary = secrets.token_hex(16)
    pieces: list[Buffer] = []
    for part in parts:
        name = part.name.translate({ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"})  # as browsers do
        # Without a file name the server may take the part for text.
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        kind = f"Content-Type: {part.content_type or 'application/octet-stream'}\r\n\r\n"
        pieces += ((head + kind).encode(), part.data, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces), f"{_MULTIPART}; boundary={boundary}"


def _split_multipart(body: bytes, content_type: str, max_parts: int) -> list[Part]:
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise InvalidRequest("header Content-Type: multipart/form-data needs a boundary")
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1")
    if not body.startswith(delimiter):
        raise InvalidRequest("body: the first multipart boundary is missing")
    parts: list[Part] = []
    position = len(delimiter)
    # After a delimiter: "--" ends the body, a line break begins a part.
    while body[position : position + 2] != b"--":
        if len(parts) == max_parts:
            raise PayloadTooLarge(f"body: more parts than the limit of {max_parts}")
        start = body.find(b"\r\n", position, position + _MAX_HEAD)
        if start < 0 or body[position:start].strip(b" \t"):
            raise InvalidRequest(f"body: part {len(parts)} does not begin with a line break")
        end = body.find(b"\r\n" + delimiter, start)
        if end < 0:
            raise InvalidRequest(f"body: part {len(parts)} is not closed by a boundary")
        parts.append(_read_part(body, start + 2, end, f"body: part {len(parts)}"))
        position = end + 2 + len(delimiter)
    return parts


def _read_part(body: bytes, start: int, end: int, field: str) -> Part:
    gap = body.find(b"\r\n\r\n", start, min(end + 4, start + _MAX_HEAD))
    if gap < 0:
        raise InvalidRequest(f"{field}: no empty line ends its headers")
    name, content_type = None, ""
    for line in body[start:gap].split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            named = _NAME.search(value)
            name = None if named is None else (_ESCAPED.sub(rb"\1", named[1]) if named[1] is not None else named[2])
        elif key.strip().lower() == b"content-type":
            content_type = media_type(value.decode("latin-1"))
    if not name:
        raise InvalidRequest(f"{field}: Content-Disposition with a name is expected")
    # A part without content has its closing line break right after the empty line, or shares it.
    return Part(_text(name, field), memoryview(body)[min(gap + 4, end) : end], content_type)


def _split_urlencoded(body: bytes, max_parts: int) -> list[Part]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=max_parts, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequest(
            "body: a form is ASCII with percent-encoded UTF-8; set the Content-Type of the data"
        ) from None
    except ValueError:
        raise PayloadTooLarge(f"body: more parts than the limit of {max_parts}") from None
    return [Part(name, value.encode()) for name, value in pairs]


def _text(raw: bytes, field: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{field}: its name is not UTF-8") from None
