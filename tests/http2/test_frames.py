from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import frames as http2
from gateway.http2.frames import FrameReader, ProtocolError

frames = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, http2.GREATEST_STREAM), st.binary(max_size=40)),
    max_size=8,
)


def joined(received: Iterable[http2.Frame]) -> list[http2.Frame]:
    """DATA of one stream in a row as one frame: where it is cut means nothing."""
    found: list[http2.Frame] = []
    for kind, flags, stream, payload in received:
        if found and kind == http2.DATA and not flags & http2.PADDED:
            before = found[-1]
            if before[:3] == (kind, flags & ~http2.END_STREAM, stream):
                found[-1] = kind, flags, stream, before[3] + payload
                continue
        found.append((kind, flags, stream, payload))
    return found


def fed(reader: FrameReader, data: bytes, cuts: list[int]) -> list[http2.Frame]:
    received: list[http2.Frame] = []
    for cut in cuts:
        received += reader.feed(data[:cut])
        data = data[cut:]
    return received + reader.feed(data)


def plainly(data: bytes, longest: int) -> list[http2.Frame]:
    """The frames in ``data``, and what is there of DATA that is incomplete."""
    found = []
    while len(data) >= http2.HEAD_LENGTH:
        length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        if length > longest:
            raise ProtocolError("too long")
        payload, rest = data[9 : 9 + length], data[9 + length :]
        if len(payload) < length:
            if kind != http2.DATA or flags & http2.PADDED or not payload:
                break
            flags &= ~http2.END_STREAM
        found.append((kind, flags, int.from_bytes(data[5:9], "big") & http2.GREATEST_STREAM, payload))
        data = rest
    return found


@given(frames, st.lists(st.integers(1, 30)))
def test_frames_are_the_same_however_the_bytes_are_cut(sent: list[http2.Frame], cuts: list[int]) -> None:
    data = b"".join(http2.frame(*frame) for frame in sent)
    assert joined(fed(FrameReader(40), data, cuts)) == joined(sent)


@given(st.binary(max_size=60), st.lists(st.integers(1, 5)))
def test_anything_is_frames_or_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    try:
        received = fed(FrameReader(64), data, cuts)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            plainly(data, 64)
    else:
        assert joined(received) == joined(plainly(data, 64))


def test_data_is_handed_on_as_it_comes() -> None:
    reader = FrameReader(100)
    data = http2.frame(http2.DATA, http2.END_STREAM | 0x40, 3, b"0123456789") + http2.frame(
        http2.PING, 0, 0, b"8 octets"
    )
    assert reader.feed(data[:11]) == [(http2.DATA, 0x40, 3, b"01")]
    assert reader.feed(data[11:18]) == [(http2.DATA, 0x40, 3, b"2345678")]
    assert reader.feed(data[18:21]) == [(http2.DATA, 0x41, 3, b"9")]  # and with the last one alone the stream ends
    assert reader.feed(data[21:]) == [(http2.PING, 0, 0, b"8 octets")]


@pytest.mark.parametrize(
    ("kind", "flags"), [(http2.DATA, http2.PADDED | http2.END_STREAM), (http2.HEADERS, http2.END_HEADERS)]
)
def test_what_is_not_plain_data_is_handed_on_whole(kind: int, flags: int) -> None:
    reader, data = FrameReader(100), http2.frame(kind, flags, 3, b"\2abc\0\0")
    for position in range(len(data) - 1):
        assert reader.feed(data[position : position + 1]) == []
    assert reader.feed(data[-1:]) == [(kind, flags, 3, b"\2abc\0\0")]


@pytest.mark.parametrize("kind", [http2.DATA, http2.HEADERS])
def test_the_longest_frame_is_read_and_a_longer_one_is_not(kind: int) -> None:
    assert FrameReader(30).feed(http2.frame(kind, 0, 1, bytes(30))) == [(kind, 0, 1, bytes(30))]
    with pytest.raises(ProtocolError) as caught:
        FrameReader(30).feed(http2.head(31, kind, 0, 1))
    assert caught.value.code == http2.FRAME_SIZE_ERROR


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


@given(st.binary(max_size=40), st.lists(st.integers(0, 70)))
def test_what_follows_the_preface_is_the_same_however_it_is_cut(rest: bytes, cuts: list[int]) -> None:
    sent = http2.PREFACE + rest
    reader, ends = http2.PrefaceReader(), sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    assert b"".join(reader.feed(sent[start:end]) or b"" for start, end in itertools.pairwise(ends)) == rest
    assert not reader.missing


@pytest.mark.parametrize("length", range(1, len(http2.PREFACE)))
def test_another_preface_is_none_at_its_first_octet_that_differs(length: int) -> None:
    reader = http2.PrefaceReader()
    assert reader.feed(http2.PREFACE[: length - 1]) == b""
    assert reader.feed(b"x" + http2.PREFACE[length:]) is None


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
