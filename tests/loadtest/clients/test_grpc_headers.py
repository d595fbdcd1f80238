from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.clients.grpc_headers import read_headers, request_headers

Fields = list[tuple[str, str]]


def encoded(fields: Fields, *, huffman: bool = True) -> bytes:
    """A header block of a peer that keeps to a table of size 0, and says so first."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(fields, huffman=huffman))


def test_request_is_a_call_with_its_metadata_and_touches_no_table() -> None:
    block = request_headers("h:1", "/a.B/C", [("X-Hint", "b"), ("authorization", "Bearer t")])
    decoder = hpack.Decoder()
    assert decoder.decode(block) == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/a.B/C"),
        (":authority", "h:1"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("x-hint", "b"),
        ("authorization", "Bearer t"),
    ]
    assert not decoder.header_table.dynamic_entries


@pytest.mark.parametrize("huffman", [True, False])
def test_what_matters_is_read(huffman: bool) -> None:
    fields = [(":status", "200"), ("content-type", "application/grpc"), ("x", "y"), ("server-timing", "a;dur=1")]
    headers = read_headers(encoded([*fields, ("server-timing", "b;dur=2")], huffman=huffman))
    assert headers == ("200", "application/grpc", None, "", b"a;dur=1, b;dur=2")


@pytest.mark.parametrize(
    ("code", "name"),
    [("0", "OK"), ("4", "DEADLINE_EXCEEDED"), ("14", "UNAVAILABLE"), ("16", "UNAUTHENTICATED"), ("17", "status 17")],
)
def test_status_has_its_name(code: str, name: str) -> None:
    assert read_headers(encoded([("grpc-status", code)])).code == name


@given(st.text())
def test_message_is_decoded(text: str) -> None:
    quoted = "".join(c if " " <= c <= "~" and c != "%" else "".join(f"%{b:02X}" for b in c.encode()) for c in text)
    assert read_headers(encoded([("grpc-status", "2"), ("grpc-message", quoted)])).message == text
