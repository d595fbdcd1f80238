"""Parse a JSON document of unknown origin: UTF-8 only, bounded nesting, NaN and Infinity tokens accepted."""

from __future__ import annotations

import json
import re
from typing import TypeVar

import msgspec
import numpy as np

from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Buffer

T = TypeVar("T")

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def decode_json(body: Buffer, decoder: msgspec.json.Decoder[T], *, max_depth: int) -> T:
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


def _decode_with_tokens(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    # The tokens are no JSON, yet clients send them and Triton and TensorFlow Serving take them. Only
    # the standard library's slower parser knows them, so it is asked only when the fast one refused.
    try:
        return msgspec.convert(json.loads(raw.decode("utf-8")), decoder.type)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"JSON: not valid UTF-8 at byte {error.start}") from None
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"JSON: {error}") from None
    except ValueError as error:
        raise InvalidRequest(f"JSON: {error}") from None


def _check_depth(raw: bytes, max_depth: int) -> None:
    # Counting first keeps the usual document, which has few brackets, off the exact way.
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return
    brackets = np.frombuffer(_STRING.sub(b"", raw).translate(None, _NOT_BRACKETS), dtype=np.uint8)
    # '[' and '{' have bit 1 set in their codes (0x5B, 0x7B), ']' and '}' do not (0x5D, 0x7D).
    depth = np.cumsum(np.where(brackets & 2, 1, -1))
    if depth.size and int(depth.max()) > max_depth:
        raise InvalidRequest(f"JSON: nested deeper than {max_depth} levels")
