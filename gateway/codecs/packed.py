"""What the codecs read and write of protobuf's wire format by themselves, where the library would copy or convert.

Packed repeated floats, doubles and bools are the raw form of a tensor already. Through Python's numbers they would be
slower, and a signalling NaN in a ``float`` would become a quiet one.
"""

from __future__ import annotations

from typing import Any

from gateway.core.datatypes import ITEMSIZE, Datatype

PACKED = (Datatype.FP32, Datatype.FP64, Datatype.BOOL)


def packed_bytes(message: Any, field: str, datatype: Datatype) -> bytes:
    """The little-endian elements in the repeated ``field`` of ``message``, whose ``datatype`` is one of PACKED."""
    values = getattr(message, field)
    alone = type(message)()  # without the message's other fields, known and unknown
    getattr(alone, field).MergeFrom(values)
    wire: bytes = alone.SerializeToString()
    return wire[len(wire) - len(values) * ITEMSIZE[datatype] :]


def varint(number: int) -> bytes:
    """``number`` as protobuf writes lengths."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
