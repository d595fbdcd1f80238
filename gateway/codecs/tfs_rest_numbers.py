"""Read bodies of ``:predict`` that are full of numbers without a second look at each number.

As ``gateway.codecs.json_numbers`` does it for documents that say their types; here the signature says them.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from gateway.codecs.json_numbers import rows_type
from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature

_FLOATS = {Datatype.FP32, Datatype.FP64}
_INTEGERS = {datatype for datatype in Datatype if "INT" in datatype}
# The first number: under a key or under the name of an input, which may stand in an instance.
# Possessive, so that a body of blanks takes no longer than reading it once.
_FIRST = re.compile(
    rb'"(?:instances|inputs)"\s*+:\s*+'
    rb'(?P<rows>\[\s*+(?=\{))?(?P<named>\{\s*+"[^"\\]*+"\s*+:\s*+)?(?P<open>\[[\[\s]*+)[-0-9]'
)
_MAX_DEPTH = 8


class PredictJSON(msgspec.Struct):
    """The document of a predict request."""

    instances: Any = msgspec.UNSET
    inputs: Any = msgspec.UNSET
    signature_name: str = ""


class PredictDecoder:
    """Decodes documents for a signature whose inputs hold ``element``s (``float``, ``int``; None: others)."""

    def __init__(self, element: Any) -> None:
        self.type = PredictJSON
        self._element = element
        self._decoder = msgspec.json.Decoder(PredictJSON)

    def decode(self, raw: bytes, /) -> PredictJSON:
        """The document in ``raw``; raises what a decoder of msgspec's raises."""
        # find() is many times as fast as a pattern's search where the numbers come first.
        key = max(raw.find(b'"instances"'), raw.find(b'"inputs"'))
        first = _FIRST.match(raw, key) if self._element is not None and key >= 0 else None
        if first is not None and (depth := first["open"].count(b"[")) <= _MAX_DEPTH:
            try:
                return _typed(self._element, depth, first["named"] is not None, first["rows"] is not None).decode(raw)
            except msgspec.ValidationError:
                pass  # read again, which also finds the words for an error
        return self._decoder.decode(raw)


def decoder_for(signature: Signature) -> PredictDecoder:
    """The decoder of requests for ``signature``."""
    datatypes = {spec.datatype for spec in signature.inputs}
    if datatypes and datatypes <= _FLOATS:
        return _OF_FLOATS
    return _OF_INTEGERS if datatypes and datatypes <= _INTEGERS else _OF_OTHERS


_OF_FLOATS, _OF_INTEGERS, _OF_OTHERS = PredictDecoder(float), PredictDecoder(int), PredictDecoder(None)


@cache
def _typed(element: Any, depth: int, named: bool, in_rows: bool) -> msgspec.json.Decoder[PredictJSON]:
    data: Any = rows_type(element, depth)
    if named:
        data = dict[str, data]
    if in_rows:
        data = list[data]
    fields = [(name, data | msgspec.UnsetType, msgspec.UNSET) for name in ("instances", "inputs")]
    return msgspec.json.Decoder(msgspec.defstruct("PredictNumbers", fields, bases=(PredictJSON,)))
