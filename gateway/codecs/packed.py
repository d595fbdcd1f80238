"""What the codecs read and write of protobuf's wire format by themselves, where the library would copy or convert.

Packed repeated floats, doubles and bools are the raw form of a tensor already. Through Python's numbers they would be
slower, and a signalling NaN in a ``float`` would become a quiet one. Of raw contents the library makes two copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.core.datatypes import Datatype
from gateway.core.tensors import Buffer

# Protobuf's wire types.
LENGTH_DELIMITED = 2
_VARINT, _FIXED_SIZES = 0, {1: 8, 5: 4}
_LONGEST_HEAD = 6  # bytes before contents: a tag below 16 and a length below 2**32, as everybody writes them

PACKED = (Datatype.FP32, Datatype.FP64, Datatype.BOOL)


def packed_bytes(message: Any, field: str) -> Buffer:
    """The little-endian elements in the packed ``field`` of ``message``, of one of the datatypes in PACKED."""
    return _contents(
        message.SerializeToString(), message.DESCRIPTOR.fields_by_name[field].number << 3 | LENGTH_DELIMITED
    )


def cut_out(serialised: bytes, wanted: int) -> tuple[bytes, list[Buffer]] | None:
    """A message without its fields of bytes with the tag ``wanted``, and their contents, uncopied.

    None where the fields do not plainly follow each other: what that means, the library has to say.
    """
    view = memoryview(serialised)
    kept: list[memoryview] = []
    found: list[Buffer] = []
    position = end = 0
    try:
        for tag, begin, start, end in _fields(view):
            if tag == wanted:
                if start - begin > _LONGEST_HEAD:
                    return None
                kept.append(view[position:begin])
                found.append(view[start:end])
                position = end
    except (IndexError, KeyError):
        return None
    if end > len(view):
        return None
    kept.append(view[position:])
    return b"".join(kept), found


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
    return next((view[start:end] for tag, _, start, end in _fields(view) if tag == wanted), b"")


def _fields(view: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: tag, where they begin, where their contents begin, and where they end.

    Raises:
        IndexError: the last one ends within a number.
        KeyError: a wire type that is none, or a group's.
    """
    position = 0
    while position < len(view):
        begin = position
        tag, start = _read_varint(view, begin)
        wire_type = tag & 7
        if wire_type == LENGTH_DELIMITED:
            length, start = _read_varint(view, start)
            position = start + length
        elif wire_type == _VARINT:
            _, position = _read_varint(view, start)
        else:
            position = start + _FIXED_SIZES[wire_type]
        yield tag, begin, start, position


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    """The number at ``position``, and where it ends."""
    number = shift = 0
    while view[position] > 0x7F:
        number |= (view[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return number | view[position] << shift, position + 1
