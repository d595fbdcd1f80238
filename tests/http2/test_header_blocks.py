from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2.frames import ProtocolError
from gateway.http2.header_blocks import HeaderDecoder, encode

decode = HeaderDecoder(0).decode

names = st.one_of(st.sampled_from([b":status", b"content-type", b"server", b"x-other"]), st.binary(max_size=200))
values = st.one_of(st.sampled_from([b"200", b"404", b""]), st.binary(max_size=200))


@given(st.lists(st.tuples(names, values), max_size=8), st.booleans(), st.booleans(), st.booleans())
def test_reads_what_the_hpack_package_writes(
    fields: list[tuple[bytes, bytes]], huffman: bool, never_indexed: bool, announced: bool
) -> None:
    encoder = hpack.Encoder()
    encoder.header_table.maxsize = 0
    if announced:
        encoder.header_table_size = 0
    made = [hpack.NeverIndexedHeaderTuple(*field) if never_indexed else hpack.HeaderTuple(*field) for field in fields]
    assert decode(encoder.encode(made, huffman=huffman)) == fields


@given(st.binary(max_size=40))
def test_anything_is_what_the_hpack_package_reads_or_a_protocol_error(block: bytes) -> None:
    decoder = hpack.Decoder()
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        fields = decode(block)
    except ProtocolError:
        return
    assert fields == list(decoder.decode(block, raw=True))


def test_long_text() -> None:
    text = bytes(range(256)) * 300
    assert decode(b"\x00\x01a" + hpack.Encoder().encode([(b"b", text)], huffman=False)[3:]) == [(b"a", text)]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\xbe", "entry 62 of a table"),
        (b"\x80", "entry 0 of a table"),
        (b"\x3f\xe1\x1f", "sets the table's size to 4096"),
        (b"\x88\x20", "sets the table's size to 0"),
        (b"\x00\x05ab", "cannot be read"),
        (b"\x00", "cannot be read"),
        (b"\x00\x81\xff\x00", "cannot be read"),
        (b"\xff\xff\xff\xff\xff\xff\xff", "too large a number"),
    ],
)
def test_block_that_uses_a_table_or_is_none_is_refused(block: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=f"^a header block .*{reason}"):
        decode(block)


# ---- with a table

few_names = st.sampled_from([b":status", b"content-type", b"x-a", b"x-b", b"x-c"])
few_values = st.one_of(
    st.sampled_from([b"200", b"1", b"2"]),
    st.integers(0, 4200).map(lambda length: b"v" * length),  # longer ones than the table
    st.binary(max_size=60),
)
blocks = st.lists(
    st.tuples(
        st.lists(st.tuples(few_names, few_values, st.booleans()), max_size=8),
        st.booleans(),  # Huffman codes
        st.one_of(st.none(), st.integers(0, 4096)),  # the size of the table from now on
    ),
    max_size=12,
)


@given(blocks)
def test_reads_the_blocks_of_a_connection_in_their_order(
    sent: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]],
) -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    for fields, huffman, size in sent:
        if size is not None:
            encoder.header_table_size = size
        made = [
            (hpack.NeverIndexedHeaderTuple if secret else hpack.HeaderTuple)(name, value)
            for name, value, secret in fields
        ]
        expected = [(name, value) for name, value, _ in fields]
        assert decoder.decode(encoder.encode(made, huffman=huffman)) == expected


def _outcome(decode, block: bytes):  # type: ignore[no-untyped-def]
    try:
        return [(bytes(name), bytes(value)) for name, value in decode(block)]
    except (ProtocolError, hpack.HPACKError):
        return None


# Octets that mean something more often than chance would have it.
octets = st.one_of(
    st.sampled_from([0x40, 0x41, 0x7F, 0x82, 0xBE, 0xBF, 0xC0, 0x20, 0x3E, 0x01, 0x00]), st.integers(0, 255)
)


@given(st.lists(st.lists(octets, max_size=30).map(bytes), max_size=6))
def test_any_blocks_are_what_the_hpack_package_reads_or_a_protocol_error(sent: list[bytes]) -> None:
    oracle, decoder = hpack.Decoder(max_header_list_size=2**30), HeaderDecoder()
    for block in sent:
        fields = _outcome(decoder.decode, block)
        if fields is None:
            return  # the connection is over
        assert fields == _outcome(lambda data: oracle.decode(data, raw=True), block)


@given(blocks)
def test_changes_say_whether_equal_blocks_mean_the_same(
    sent: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]],
) -> None:
    encoder, decoder, oracle = hpack.Encoder(), HeaderDecoder(), hpack.Decoder()
    for fields, huffman, size in sent:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode([(name, value) for name, value, _ in fields], huffman=huffman)
        before = list(oracle.header_table.dynamic_entries), oracle.header_table_size, decoder.changes
        decoder.decode(block)
        oracle.decode(block, raw=True)
        if before[:2] != (list(oracle.header_table.dynamic_entries), oracle.header_table_size):
            assert decoder.changes > before[2]


def test_blocks_that_leave_the_table_alone_are_no_change() -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    decoder.decode(encoder.encode([(b"x-a", b"1")]))
    changes = decoder.changes
    assert changes
    decoder.decode(encoder.encode([(b"x-a", b"1"), (b":status", b"200")]))  # all of it is in a table by now
    decoder.decode(encode([(b"x-b", b"2")]))
    decoder.decode(encoder.encode([hpack.NeverIndexedHeaderTuple(b"x-c", b"3")]))
    decoder.decode(b"\x3f\xe1\x1f")  # the size that the table has
    assert decoder.changes == changes


def test_a_table_over_the_size_that_was_told_is_refused() -> None:
    with pytest.raises(ProtocolError, match="sets the table's size to 4097"):
        HeaderDecoder().decode(b"\x3f\xe2\x1f")


# ---- written without a table

lengths = st.one_of(st.integers(0, 20), st.sampled_from([126, 127, 128, 254, 255, 256, 381, 382, 383, 16_510, 16_511]))
texts = lengths.flatmap(lambda length: st.binary(min_size=1, max_size=1).map(lambda octet: octet * length))


@given(st.lists(st.tuples(texts.filter(bool), texts), max_size=5))
def test_what_is_written_is_read_alike_by_everybody(fields: list[tuple[bytes, bytes]]) -> None:
    block, decoder = encode(fields), HeaderDecoder()
    assert hpack.Decoder(max_header_list_size=2**20).decode(block, raw=True) == fields
    assert decoder.decode(block) == fields
    assert decode(block) == fields
    assert decoder.changes == 0


def test_an_entry_may_fill_the_table_and_no_more() -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    fills = (b"a", b"v" * (4096 - 32 - 1))
    decoder.decode(encoder.encode([fills]))
    assert decoder.decode(b"\xbe") == [fills]
    decoder.decode(hpack.Encoder().encode([(b"a", b"v" * (4096 - 32))]))
    with pytest.raises(ProtocolError, match="entry 62 of a table"):
        decoder.decode(b"\xbe")
