"""HTTP/2 frames (RFC 9113, section 4 to 6) as bytes; what they mean to a connection is not known here."""

from __future__ import annotations

import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_LENGTH = 9
LEAST_MAX_FRAME = 16_384
FIRST_WINDOW = 65_535
GREATEST_WINDOW = 2**31 - 1
GREATEST_STREAM = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)

_ERRORS = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
CANCEL = _ERRORS.index("CANCEL")

_HEAD = struct.Struct(">HBBBI")
_SETTING = struct.Struct(">HI")


class ProtocolError(Exception):
    """The peer does not speak HTTP/2; ``str`` says what it did."""


# Kind, flags, stream and payload. A plain tuple: hundreds of thousands of them are made each second.
Frame = tuple[int, int, int, bytes]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """The bytes of one frame."""
    return head(len(payload), kind, flags, stream) + payload


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The bytes before the payload of a frame."""
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream)


def number(value: int) -> bytes:
    """The payload of WINDOW_UPDATE and RST_STREAM."""
    return value.to_bytes(4, "big")


def settings(values: dict[int, int]) -> bytes:
    """The payload of SETTINGS."""
    return b"".join(_SETTING.pack(name, value) for name, value in values.items())


def read_number(payload: bytes) -> int:
    """The 32 bits of WINDOW_UPDATE (the reserved one left out) and RST_STREAM.

    Raises:
        ProtocolError: there are more or fewer.
    """
    if len(payload) != 4:
        raise ProtocolError(f"a frame of {len(payload)} octets that must have 4")
    return int.from_bytes(payload, "big")


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Names and values in SETTINGS.

    Raises:
        ProtocolError: an incomplete setting.
    """
    if len(payload) % _SETTING.size:
        raise ProtocolError(f"SETTINGS of {len(payload)} octets, which is no multiple of 6")
    return _SETTING.iter_unpack(payload)


def content(kind: int, flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without padding and priority.

    Raises:
        ProtocolError: more padding than payload.
    """
    start, padding = 0, 0
    if flags & PADDED:
        start, padding = 1, (payload[0] if payload else 0)
    if kind == HEADERS and flags & PRIORITY_FLAG:
        start += 5
    if start + padding > len(payload):
        raise ProtocolError(f"{padding} octets of padding in a frame of {len(payload)}")
    return payload[start : len(payload) - padding]


def error_name(code: int) -> str:
    """Such as ``CANCEL``."""
    return _ERRORS[code] if code < len(_ERRORS) else f"error {code}"


class FrameReader:
    """Cuts what arrives into frames; ``max_frame`` is the longest payload the peer was told it may send."""

    def __init__(self, max_frame: int) -> None:
        self._max_frame = max_frame
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with ``data``.

        Raises:
            ProtocolError: a frame is longer than allowed, as anything but HTTP/2 looks.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < HEAD_LENGTH or len(self._rest) < HEAD_LENGTH + self._head(self._rest, 0)[0]:
                return []  # the pieces of a long frame are joined once
            data = bytes(self._rest)
        frames = []
        position, last = 0, len(data) - HEAD_LENGTH
        while position <= last:
            length, kind, flags, stream = self._head(data, position)
            start = position + HEAD_LENGTH
            end = start + length
            if end > len(data):
                break
            frames.append((kind, flags, stream, data[start:end]))
            position = end
        self._rest = bytearray(data[position:])
        return frames

    def _head(self, data: bytes | bytearray, position: int) -> tuple[int, int, int, int]:
        high, low, kind, flags, stream = _HEAD.unpack_from(data, position)
        length = high << 8 | low
        if length > self._max_frame:
            raise ProtocolError(f"a frame of {length} octets; {self._max_frame} are allowed")
        return length, kind, flags, stream & GREATEST_STREAM
