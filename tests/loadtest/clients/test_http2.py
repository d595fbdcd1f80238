from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.clients import http2
from loadtest.clients.http2 import FrameReader, ProtocolError

frames = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, http2.GREATEST_STREAM), st.binary(max_size=40)),
    max_size=8,
)


@given(frames, st.lists(st.integers(1, 30)))
def test_frames_are_the_same_however_the_bytes_are_cut(sent: list[http2.Frame], cuts: list[int]) -> None:
    data = b"".join(http2.frame(*frame) for frame in sent)
    reader, received = FrameReader(40), []
    for cut in cuts:
        received += reader.feed(data[:cut])
        data = data[cut:]
    received += reader.feed(data)
    assert received == sent


@given(st.binary(max_size=60), st.lists(st.integers(1, 5)))
def test_anything_is_frames_or_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    reader, read = FrameReader(64), b""
    given_bytes = data
    try:
        for cut in [*cuts, len(data)]:
            read += b"".join(http2.frame(*frame) for frame in reader.feed(data[:cut]))
            data = data[cut:]
    except ProtocolError:
        return
    # The reserved bit of a stream's number is not kept.
    assert [byte & 0x7F for byte in read] == [byte & 0x7F for byte in given_bytes[: len(read)]]


def test_reserved_bit_of_the_stream_is_ignored() -> None:
    (frame,) = FrameReader(10).feed(http2.head(0, http2.PING, 0, 0x8000_0001))
    assert frame == (http2.PING, 0, 1, b"")


def test_length_has_24_bits() -> None:
    payload = bytes(70_000)
    assert FrameReader(70_000).feed(http2.frame(http2.DATA, 0, 1, payload)) == [(http2.DATA, 0, 1, payload)]


@pytest.mark.parametrize("cut", [3, 9, 20])
def test_too_long_a_frame_is_refused_before_it_is_here(cut: int) -> None:
    data = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    reader = FrameReader(2**20)
    with pytest.raises(ProtocolError, match=r"^a frame of 4740180 octets; 1048576 are allowed$"):
        [reader.feed(piece) for piece in (data[:cut], data[cut:])]


@given(st.binary(max_size=20), st.integers(0, 255), st.booleans())
def test_padding_and_priority_are_cut_off(payload: bytes, padding: int, priority: bool) -> None:
    flags = http2.PADDED | (http2.PRIORITY_FLAG if priority else 0)
    padded = bytes([padding]) + (b"prio!" if priority else b"") + payload + bytes(padding)
    assert http2.content(http2.HEADERS, flags, padded) == payload
    assert http2.content(http2.DATA, http2.PADDED, bytes([padding]) + payload + bytes(padding)) == payload
    assert http2.content(http2.DATA, 0, payload) == payload


@pytest.mark.parametrize(
    ("kind", "flags", "payload"),
    [
        (http2.DATA, http2.PADDED, b""),
        (http2.DATA, http2.PADDED, b"\x03ab"),
        (http2.HEADERS, http2.PRIORITY_FLAG, b"1234"),
        (http2.HEADERS, http2.PADDED | http2.PRIORITY_FLAG, b"\x0112345"),
    ],
)
def test_more_padding_than_payload_is_refused(kind: int, flags: int, payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="octets of padding"):
        http2.content(kind, flags, payload)


@given(st.dictionaries(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)))
def test_settings_are_read_as_written(values: dict[int, int]) -> None:
    assert dict(http2.read_settings(http2.settings(values))) == values


def test_incomplete_settings_and_numbers_are_refused() -> None:
    with pytest.raises(ProtocolError, match="7 octets"):
        http2.read_settings(bytes(7))
    with pytest.raises(ProtocolError, match="3 octets"):
        http2.read_number(bytes(3))


def test_number_is_read_as_written() -> None:
    assert http2.read_number(http2.number(2**31 - 1)) == 2**31 - 1


def test_errors_have_their_names() -> None:
    assert [http2.error_name(code) for code in (0, 7, 8, 13, 99)] == [
        "NO_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "HTTP_1_1_REQUIRED",
        "error 99",
    ]
