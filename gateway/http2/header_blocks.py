"""HPACK header blocks (RFC 7541): read with the sender's table, written without one.

The hpack package reads them too, at the cost of a whole request.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from gateway.http2.frames import COMPRESSION_ERROR, ProtocolError

Field = tuple[bytes, bytes]

DEFAULT_TABLE = 4096  # octets, of which a peer may make use before it is told anything
_STATIC: tuple[Field, ...] = tuple(HeaderTable.STATIC_TABLE)
_OVERHEAD = 32  # octets for which an entry of the table counts besides its name and value
_REMEMBERED = 1024  # Huffman codes: names, and values that repeat
_LONGEST = 256  # octets of a code that is worth it
_MOST_CONTINUATIONS = 4  # octets of an integer, which allows for 2 to the power of 28


def encode(fields: Iterable[Field]) -> bytes:
    """A header block that means the same wherever it is sent: literals that enter no table."""
    return b"".join([b"\0%b%b%b%b" % (_length(name), name, _length(value), value) for name, value in fields])


class HeaderDecoder:
    """Reads the header blocks of one connection, in the order in which they come.

    ``max_table`` is the size in octets that the peer was told to keep its table below.

    Attributes:
        changes: how often the table has changed. In between, equal blocks mean the same.
    """

    def __init__(self, max_table: int = DEFAULT_TABLE) -> None:
        self._max_table = self._limit = max_table
        self._entries: list[Field] = []  # the newest first
        self._size = 0
        self.changes = 0

    def decode(self, block: bytes) -> list[Field]:
        """Names and values in order.

        Raises:
            ProtocolError: it is no header block, or refers to what is not in the table; the connection is of no use
                any more, as nobody knows what the table holds.
        """
        fields: list[Field] = []
        position, end = 0, len(block)
        try:
            while position < end:
                first = block[position]
                if first & 0x80:
                    index, position = _integer(block, position, 0x7F)
                    fields.append(self._entry(index))
                elif first & 0xE0 == 0x20:
                    size, position = _integer(block, position, 0x1F)
                    if fields or size > self._max_table:
                        raise _problem(f"that sets the table's size to {size}")
                    self._shrink(size)
                else:  # a literal, which enters the table (0x40) or does not
                    index, position = _integer(block, position, 0x3F if first & 0x40 else 0x0F)
                    name, position = (self._entry(index)[0], position) if index else _string(block, position)
                    value, position = _string(block, position)
                    field = name, value
                    fields.append(field)
                    if first & 0x40:
                        self._add(field)
        except (IndexError, HPACKError):
            raise _problem("that cannot be read") from None
        return fields

    def _entry(self, index: int) -> Field:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        number = index - len(_STATIC) - 1
        if 0 <= number < len(self._entries):
            return self._entries[number]
        raise _problem(f"that refers to entry {index} of a table")

    def _add(self, field: Field) -> None:
        if not self._limit:
            return  # so that a decoder without a table has no state
        self.changes += 1
        self._entries.insert(0, field)
        self._size += _size(field)
        self._evict()

    def _shrink(self, limit: int) -> None:
        if limit != self._limit:
            self.changes += 1
            self._limit = limit
            self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            self._size -= _size(self._entries.pop())


def _size(field: Field) -> int:
    return len(field[0]) + len(field[1]) + _OVERHEAD


def _problem(what: str) -> ProtocolError:
    return ProtocolError(f"a header block {what}", COMPRESSION_ERROR)


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
    raise _problem("with too large a number")


def _length(text: bytes) -> bytes:
    """The length of ``text`` before it, as text that is not Huffman coded."""
    rest = len(text) - 0x7F
    if rest < 0:
        return bytes((len(text),))
    octets = [0x7F]
    while rest >= 0x80:
        octets.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*octets, rest))


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    coded = block[position] & 0x80
    length, position = _integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise IndexError
    text = block[position:end]
    if coded:
        text = _known_huffman(text) if length <= _LONGEST else _huffman(text)
    return text, end


def _huffman(code: bytes) -> bytes:
    return bytes(decode_huffman(code))


_known_huffman = lru_cache(_REMEMBERED)(_huffman)
