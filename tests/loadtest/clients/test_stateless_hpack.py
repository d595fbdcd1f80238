from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.clients.http2 import ProtocolError
from loadtest.clients.stateless_hpack import decode

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
