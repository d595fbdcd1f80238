"""Decodes HPACK header blocks (RFC 7541) of a peer that was told to use no dynamic table.

The hpack package does this too, at the cost of a whole request: answers with a ``server-timing`` are all different.
"""

from __future__ import annotations

from functools import lru_cache

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from loadtest.clients.http2 import ProtocolError

_STATIC: tuple[tuple[bytes, bytes], ...] = tuple(HeaderTable.STATIC_TABLE)
_REMEMBERED = 1024  # Huffman codes: names, and values that repeat
_MOST_CONTINUATIONS = 4  # octets of an integer, which allows for 2 to the power of 28


def decode(block: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values in order.

    Raises:
        ProtocolError: it is no header block, or refers to a dynamic table.
    """
    fields: list[tuple[bytes, bytes]] = []
    position = 0
    try:
        while position < len(block):
            first = block[position]
            if first & 0x80:
                index, position = _integer(block, position, 0x7F)
                fields.append(_static(index))
            elif first & 0xE0 == 0x20:
                size, position = _integer(block, position, 0x1F)
                if size or fields:
                    raise ProtocolError(f"a header block that sets the table's size to {size}")
            else:  # a literal, which would enter the table (0x40) if that took anything, or not
                index, position = _integer(block, position, 0x3F if first & 0x40 else 0x0F)
                name, position = (_static(index)[0], position) if index else _string(block, position)
                value, position = _string(block, position)
                fields.append((name, value))
    except (IndexError, HPACKError):
        raise ProtocolError("a header block that cannot be read") from None
    return fields


def _static(index: int) -> tuple[bytes, bytes]:
    if not 0 < index <= len(_STATIC):
        raise ProtocolError(f"a header block that refers to entry {index} of a table")
    return _STATIC[index - 1]


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """The integer in the low bits of the octet at ``position`` and those that follow; where the next thing begins."""
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    for number in range(_MOST_CONTINUATIONS):
        octet = block[position + number]
        value += (octet & 0x7F) << 7 * number
        if octet < 0x80:
            return value, position + number + 1
    raise ProtocolError("a header block with too large a number")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    coded = block[position] & 0x80
    length, position = _integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise IndexError
    text = block[position:end]
    return (_huffman(text) if coded else text), end


@lru_cache(_REMEMBERED)
def _huffman(code: bytes) -> bytes:
    return bytes(decode_huffman(code))
