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

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)

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
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 3
SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 4, 5, 6, 7, 8, 9
ENHANCE_YOUR_CALM = 11

_HEAD = struct.Struct(">HBBBI")
_SETTING = struct.Struct(">HI")


class ProtocolError(Exception):
    """The peer does not speak HTTP/2; ``str`` says what it did, ``code`` is the error code for it."""

    def __init__(self, message: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


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


def go_away(last_stream: int, code: int = NO_ERROR, text: str = "") -> bytes:
    """A GOAWAY frame: streams above ``last_stream`` are not served, for the reason ``code``."""
    return frame(GOAWAY, 0, 0, number(last_stream) + number(code) + text.encode())


def read_number(payload: bytes) -> int:
    """The 32 bits of WINDOW_UPDATE, of which the first is reserved, and of RST_STREAM.

    Raises:
        ProtocolError: there are more or fewer.
    """
    if len(payload) != 4:
        raise ProtocolError(f"a frame of {len(payload)} octets that must have 4", FRAME_SIZE_ERROR)
    return int.from_bytes(payload, "big")


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Names and values in SETTINGS.

    Raises:
        ProtocolError: an incomplete setting.
    """
    if len(payload) % _SETTING.size:
        raise ProtocolError(f"SETTINGS of {len(payload)} octets, which is no multiple of 6", FRAME_SIZE_ERROR)
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


class PrefaceReader:
    """Takes the octets that a client begins with off what arrives.

    Attributes:
        missing: what is still to come of them.
    """

    __slots__ = ("missing",)

    def __init__(self) -> None:
        self.missing = PREFACE

    def feed(self, data: bytes) -> bytes | None:
        """What follows them in ``data``; None when it is no client of HTTP/2 that began so."""
        expected = self.missing[: len(data)]
        if data[: len(expected)] != expected:  # a memoryview may be equal, and knows no more of bytes' methods
            return None
        self.missing = self.missing[len(expected) :]
        return data[len(expected) :]


class FrameReader:
    """Cuts what arrives into frames; ``max_frame`` is the longest payload the peer was told it may send.

    DATA is handed on as it comes, in as many frames as pieces: a body is joined once, by who wants it whole. They are
    slices of what was fed: of a memoryview, which need not stay valid, they are copied by whoever wants to keep them.
    """

    def __init__(self, max_frame: int) -> None:
        self._max_frame = max_frame
        self._rest = bytearray()
        self._missing = 0  # octets of the DATA frame that is being handed on in pieces
        self._flags = self._stream = 0  # of that frame

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with ``data``, and the pieces of one of DATA.

        Raises:
            ProtocolError: a frame is longer than allowed, as anything but HTTP/2 looks.
        """
        frames: list[Frame] = []
        position = 0
        if self._missing:
            position = min(self._missing, len(data))
            frames.append(self._piece(data[:position]))
        elif self._rest:
            self._rest += data
            if len(self._rest) < HEAD_LENGTH:
                return []
            length, kind, flags, _ = self._head(self._rest, 0)
            if len(self._rest) < HEAD_LENGTH + length and not _comes_in_pieces(kind, flags):
                return []  # the pieces of a long frame are joined once
            data = bytes(self._rest)
            self._rest.clear()
        end = len(data)
        while position + HEAD_LENGTH <= end:
            length, kind, flags, stream = self._head(data, position)
            start = position + HEAD_LENGTH
            position = start + length
            if position <= end:
                payload = data[start:position]
                frames.append((kind, flags, stream, payload if kind == DATA else bytes(payload)))
            elif _comes_in_pieces(kind, flags):
                self._missing, self._flags, self._stream = length, flags, stream
                if start < end:
                    frames.append(self._piece(data[start:]))
                return frames
            else:
                position = start - HEAD_LENGTH
                break
        if position < end:
            self._rest += data[position:] if position else data
        return frames

    def _piece(self, payload: bytes) -> Frame:
        self._missing -= len(payload)
        return DATA, self._flags if not self._missing else self._flags & ~END_STREAM, self._stream, payload

    def _head(self, data: bytes | bytearray, position: int) -> tuple[int, int, int, int]:
        high, low, kind, flags, stream = _HEAD.unpack_from(data, position)
        length = high << 8 | low
        if length > self._max_frame:
            raise ProtocolError(f"a frame of {length} octets; {self._max_frame} are allowed", FRAME_SIZE_ERROR)
        return length, kind, flags, stream & GREATEST_STREAM


def _comes_in_pieces(kind: int, flags: int) -> bool:
    return kind == DATA and not flags & PADDED
