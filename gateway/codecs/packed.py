"""What the codecs read and write of protobuf's wire format by themselves, where the library would copy or convert.

Packed repeated floats, doubles and bools are the raw form of a tensor already. Through Python's numbers they would be
slower, and a signalling NaN in a ``float`` would become a quiet one.
"""

from __future__ import annotations

from typing import Any

from gateway.core.datatypes import Datatype
from gateway.core.tensors import Buffer

# Protobuf's wire types.
_VARINT, _LENGTH_DELIMITED, _FIXED_SIZES = 0, 2, {1: 8, 5: 4}

PACKED = (Datatype.FP32, Datatype.FP64, Datatype.BOOL)


def packed_bytes(message: Any, field: str) -> Buffer:
    """The little-endian elements in the packed ``field`` of ``message``, of one of the datatypes in PACKED."""
    return _contents(
        message.SerializeToString(), message.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED
    )


def varint(number: int) -> bytes:
    """``number`` as protobuf writes lengths."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _contents(serialised: bytes, wanted: int) -> Buffer:
    """The contents of the packed field with the tag ``wanted``; empty when there is none."""
    view = memoryview(serialised)
    position = 0
    while position < len(view):
        tag, position = _read_varint(view, position)
        wire_type = tag & 7
        if wire_type == _LENGTH_DELIMITED:
            length, position = _read_varint(view, position)
            if tag == wanted:
                return view[position : position + length]
            position += length
        elif wire_type == _VARINT:
            _, position = _read_varint(view, position)
        else:
            position += _FIXED_SIZES.get(wire_type, 0)
    return b""


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    """The number at ``position``, and where it ends."""
    number = shift = 0
    while view[position] > 0x7F:
        number |= (view[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return number | view[position] << shift, position + 1
