"""The header blocks of requests, most of which are like the ones before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.http2 import frames as http2
from gateway.http2.frames import ProtocolError
from gateway.http2.header_blocks import Field, HeaderDecoder

Head = TypeVar("Head")

# Octets of a block, after which the connection ends: more than any client sends that heeds MAX_HEADERS.
_MAX_BLOCK = 256 * 1024
_AROUND = http2.PADDED | http2.PRIORITY_FLAG  # flags of what surrounds a block in its frame
_REMEMBERED = 128  # blocks of a connection
_LONGEST = 4096  # octets of a block that is worth it


class HeadReader(Generic[Head]):
    """Decodes the blocks of one connection in their order; ``make`` makes of their fields what is remembered."""

    def __init__(self, make: Callable[[list[Field]], Head]) -> None:
        self._make = make
        self._decoder = HeaderDecoder()
        self._known: dict[bytes, Head] = {}  # as long as the decoder's table is as it was after so many changes:
        self._changes = 0
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags and beginning of an incomplete block

    @property
    def unfinished(self) -> bool:
        """Whether a block has begun: the next frame must go on with it."""
        return self._block is not None

    def begin(self, flags: int, number: int, payload: bytes) -> Head | None:
        """What the block of a HEADERS frame for the stream ``number`` means; None when there is more of it to come.

        Raises:
            ProtocolError: it is no header block, or too long a one.
        """
        block = http2.content(http2.HEADERS, flags, payload) if flags & _AROUND else payload
        if flags & http2.END_HEADERS:
            return self.read(block)
        self._block = number, flags, bytearray(block)
        return None

    def go_on(self, flags: int, number: int, payload: bytes) -> tuple[int, Head] | None:
        """The flags and the meaning of a block, as of its CONTINUATION frame; None when there is more of it to come.

        Raises:
            ProtocolError: it is no header block, or too long a one, or has not begun.
        """
        if self._block is None or self._block[0] != number:
            raise ProtocolError("CONTINUATION without a beginning")
        _, first_flags, block = self._block
        block += payload
        if not flags & http2.END_HEADERS:
            _check(block)
            return None
        self._block = None
        return first_flags, self.read(bytes(block))

    def read(self, block: bytes) -> Head:
        """What the fields of ``block`` mean.

        Raises:
            ProtocolError: it is no header block, or too long a one.
        """
        head = self._known.get(block)
        if head is not None:
            return head
        _check(block)
        head = self._make(self._decoder.decode(block))
        if self._decoder.changes != self._changes:  # and the same block would change the table again
            self._changes = self._decoder.changes
            self._known.clear()
        else:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            if len(block) <= _LONGEST:
                self._known[block] = head
        return head


def _check(block: bytes | bytearray) -> None:
    if len(block) > _MAX_BLOCK:
        raise ProtocolError(f"a header block of over {_MAX_BLOCK} octets", http2.ENHANCE_YOUR_CALM)
