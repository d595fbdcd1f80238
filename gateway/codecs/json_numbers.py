"""Read documents full of numbers without a second look at each number.

JSON says nothing of types, so the usual way is to read numbers as they are and to check every one of them later. A
tensor's document does say its type: where the first tensor looks like an array of numbers, the whole document is read
with that type demanded. Whatever does not fit is read again in the usual way, which also finds the words for an error.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

_FLOAT_TYPES = ("FP32", "FP64")
_INTEGER_TYPES = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_DATATYPE = re.compile(rb'"datatype"\s*+:\s*+"(\w+)"')
_ARRAY = re.compile(rb'"data"\s*+:\s*+(\[[\[\s]*+)[-0-9]')
_MAX_DEPTH = 8


def rows_type(element: Any, depth: int) -> Any:
    """The type of lists nested ``depth`` deep, the innermost of them tuples, which elements_from_json trusts."""
    nested: Any = tuple[element, ...]
    for _ in range(depth - 1):
        nested = list[nested]
    return nested


class TensorDocumentDecoder(Generic[T]):
    """Decodes what ``type`` says, with ``data`` read as numbers where the tensors' datatypes say so.

    ``generic`` is a struct type with one parameter, ``tensor`` the struct that stands for it: one with the fields
    ``datatype`` and ``data``.
    """

    def __init__(self, generic: Any, tensor: type[msgspec.Struct]) -> None:
        self.type: type[T] = generic[tensor]
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(self.type)
        self._typed = cache(lambda datatypes, depth: msgspec.json.Decoder(generic[_typed(tensor, datatypes, depth)]))

    def decode(self, raw: bytes) -> T:
        """The document in ``raw``; raises what a decoder of msgspec's raises."""
        looks = _looks_like(raw)
        if looks is not None:
            try:
                document: T = self._typed(*looks).decode(raw)
                return document
            except msgspec.ValidationError:
                pass
        return self._decoder.decode(raw)


def _looks_like(raw: bytes) -> tuple[tuple[str, ...], int] | None:
    # find() is many times as fast as a pattern's search where the numbers come first.
    array = _ARRAY.match(raw, raw.find(b'"data"'))
    datatype = _DATATYPE.match(raw, raw.find(b'"datatype"'))
    if array is None or datatype is None:
        return None
    name, depth = datatype[1].decode("ascii"), array[1].count(b"[")
    for datatypes in (_FLOAT_TYPES, _INTEGER_TYPES):
        if name in datatypes and depth <= _MAX_DEPTH:
            return datatypes, depth
    return None


def _typed(tensor: type[msgspec.Struct], datatypes: tuple[str, ...], depth: int) -> type[msgspec.Struct]:
    rows = rows_type(float if datatypes is _FLOAT_TYPES else int, depth)
    fields: list[Any] = [("datatype", Literal[datatypes]), ("data", rows | msgspec.UnsetType, msgspec.UNSET)]
    return msgspec.defstruct(tensor.__name__, fields, bases=(tensor,), kw_only=True)
