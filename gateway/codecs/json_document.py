"""JSON documents: parsed from unknown origin (UTF-8 only, bounded nesting, tokens NaN and Infinity), and written."""

from __future__ import annotations

import json
import re
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import orjson

from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Buffer

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
# Some thousand strings and what is between them, never a part of a string that ends.
_PIECE = re.compile(rb'(?:[^"]{1,4096}+|"(?:[^"\\]|\\.)*+"|"){1,4096}+', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Quotes and what a backslash escapes, so that it stays plain where a string ends.
_NOT_MARKS = bytes(set(_NOT_BRACKETS) - set(b'"\\/bfnrtu'))


class Decoder(Protocol[T_co]):
    """What msgspec's decoders offer."""

    @property
    def type(self) -> Any:
        """The type of what comes out, in whatever form msgspec's release at hand declares it."""

    def decode(self, raw: bytes, /) -> T_co:
        """The document in ``raw``."""


def decode_json(body: Buffer, decoder: Decoder[T], *, max_depth: int) -> T:
    """``body`` as what ``decoder`` was made for.

    Raises:
        InvalidRequest: not UTF-8, not JSON, nested past ``max_depth``, or of another type; the message says where.
    """
    raw = bytes(body)
    _check_depth(raw, max_depth)
    try:
        return decoder.decode(raw)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"JSON: not valid UTF-8 at byte {error.start}") from None
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"JSON: {error}") from None
    except msgspec.DecodeError as error:
        if b"NaN" not in raw and b"Infinity" not in raw:
            raise InvalidRequest(f"JSON: {error}") from None
    return _decode_with_tokens(raw, decoder)


def encode_json(document: Any) -> bytes:
    """``document``, which may hold arrays, as JSON with the bare tokens NaN and Infinity where it needs them."""
    encoded = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # orjson writes null in their place; the standard library, which is slower, knows them.
    return json.dumps(document, default=lambda value: value.tolist()).encode() if b"null" in encoded else encoded


def _decode_with_tokens(raw: bytes, decoder: Decoder[T]) -> T:
    # The tokens are no JSON, yet clients send them and Triton and TensorFlow Serving take them. Only
    # the standard library's slower parser knows them, so it is asked only when the fast one refused.
    try:
        document: T = msgspec.convert(json.loads(raw.decode("utf-8")), decoder.type)
        return document
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"JSON: not valid UTF-8 at byte {error.start}") from None
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"JSON: {error}") from None
    except ValueError as error:
        raise InvalidRequest(f"JSON: {error}") from None


def _check_depth(raw: bytes, max_depth: int) -> None:
    # One fast pass leaves next to nothing of the numbers, which are nearly all there is of a long document.
    marks = raw.translate(None, _NOT_MARKS)
    if marks.count(b"[") + marks.count(b"{") <= max_depth:
        return
    depth = 0
    # In pieces, because millions of strings would take many times the document's memory.
    for piece in _PIECE.finditer(marks):
        brackets = np.frombuffer(_STRING.sub(b"", piece[0]).translate(None, _NOT_BRACKETS), dtype=np.uint8)
        if brackets.size:
            # '[' and '{' have bit 1 set in their codes (0x5B, 0x7B), ']' and '}' do not (0x5D, 0x7D).
            depths = np.cumsum(np.where(brackets & 2, 1, -1))
            if depth + int(depths.max()) > max_depth:
                raise InvalidRequest(f"JSON: nested deeper than {max_depth} levels")
            depth += int(depths[-1])
