from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import head_reader
from gateway.http2.frames import ProtocolError
from gateway.http2.head_reader import HeadReader
from gateway.http2.header_blocks import Field, HeaderDecoder, encode

fields = st.lists(
    st.tuples(st.sampled_from([b":path", b"x-a", b"x-b"]), st.sampled_from([b"/", b"1", b"2", b"3", b"v" * 4000])),
    min_size=1,
    max_size=3,
)
# Few different heads, so that most come again; some of them in literals, which mean the same at any time.
heads = st.lists(st.tuples(fields, st.booleans()), min_size=1, max_size=4).flatmap(
    lambda few: st.lists(st.sampled_from(few), max_size=30)
)


@given(heads)
def test_a_head_is_never_that_of_another_table(sent: list[tuple[list[Field], bool]]) -> None:
    encoder, reader = hpack.Encoder(), HeadReader(tuple)
    for head, literal in sent:
        assert reader.read(encode(head) if literal else encoder.encode(head)) == tuple(head)


@given(st.lists(st.sampled_from([b"\x40\1a\1x", b"\x40\1b\1y", b"\xbe", b"\xbf", b"\x20", b"\x3f\xe1\x1f", b"\x82"])))
def test_blocks_mean_what_a_decoder_without_a_memory_reads(blocks: list[bytes]) -> None:
    decoder, reader = HeaderDecoder(), HeadReader(lambda found: (True, *found))
    for block in blocks:
        try:
            expected = (True, *decoder.decode(block))
        except ProtocolError:
            with pytest.raises(ProtocolError):
                reader.read(block)
            return
        assert reader.read(block) == expected


def test_equal_blocks_are_made_something_of_once() -> None:
    made: list[list[Field]] = []
    encoder = hpack.Encoder()

    def make(found: list[Field]) -> tuple[Field, ...]:
        made.append(found)
        return tuple(found)

    reader = HeadReader(make)
    first = [(b":path", b"/a"), (b"x", b"1")]
    reader.read(encoder.encode(first))  # enters the table
    block = encoder.encode(first)
    assert all(reader.read(block) is reader.read(block) for _ in range(5))
    assert len(made) == 2
    reader.read(encoder.encode([(b"x", b"2")]))  # which changes what the block means
    assert reader.read(block) != tuple(first)
    assert len(made) == 4


def test_so_many_heads_are_remembered() -> None:
    reader = HeadReader(tuple)
    for number in range(1000):
        reader.read(encode([(b":path", b"/%d" % number)]))
        assert len(reader._known) <= head_reader._REMEMBERED
