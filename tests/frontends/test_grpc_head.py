"""The head of a gRPC call, and the header blocks that answer it."""

import base64
from urllib.parse import unquote

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frontends.grpc_head import parse_timeout, read_head, refusal, trailers
from gateway.http2.header_blocks import HeaderDecoder
from gateway.http2.server_stream import MAX_HEADERS

CALL = [(b":method", b"POST"), (b":path", b"/p.S/M"), (b"content-type", b"application/grpc"), (b"te", b"trailers")]


def decoded(block):
    return HeaderDecoder().decode(block)


def refused(*fields, call=CALL):
    return dict(decoded(read_head([*call, *fields]).refusal))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2H", 7200),
        ("3M", 180),
        ("4S", 4),
        ("5m", 0.005),
        ("6u", 6e-6),
        ("7n", 7e-9),
        ("0S", 0),
        ("99999999n", 0.099999999),
    ],
)
def test_timeouts_have_a_unit(text, seconds):
    assert parse_timeout(text) == pytest.approx(seconds, rel=1e-9)
    assert read_head([*CALL, (b"grpc-timeout", text.encode())]).timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "S", "5", "5s", "5h", "-5S", "+5S", "1.5S", " 5S", "5 S", "123456789S", "٥S", "5SS", "1_0S"]
)
def test_other_timeouts_are_refused(text):
    with pytest.raises(ValueError, match="grpc-timeout: "):
        parse_timeout(text)
    answer = refused((b"grpc-timeout", text.encode()))
    assert answer[b"grpc-status"] == b"3"
    assert b"grpc-timeout" in answer[b"grpc-message"]


def test_a_long_timeout_is_not_told_in_full():
    assert len(refused((b"grpc-timeout", b"9" * 5000))[b"grpc-message"]) < 200


def test_a_head_says_what_is_called():
    head = read_head([*CALL, (b"x-a", b"1")])
    assert (head.path, head.metadata, head.timeout, head.coding, head.refusal) == (
        "/p.S/M",
        {"x-a": "1"},
        None,
        "identity",
        None,
    )


def test_metadata_that_comes_several_times_is_a_list():
    head = read_head([*CALL, (b"x-a", b"1"), (b"x-b", b"3"), (b"x-a", b"2")])
    assert head.metadata == {"x-a": "1,2", "x-b": "3"}


def test_what_belongs_to_the_protocol_is_no_metadata():
    own = [
        (b":authority", b"x"),
        (b"grpc-timeout", b"1S"),
        (b"grpc-encoding", b"gzip"),
        (b"grpc-accept-encoding", b"gzip"),
    ]
    assert read_head([*own, *CALL]).metadata == {}


@given(st.binary(max_size=30), st.booleans())
def test_binary_metadata_is_decoded_with_or_without_its_padding(value, padded):
    coded = base64.b64encode(value)
    head = read_head([*CALL, (b"x-bin", coded if padded else coded.rstrip(b"="))])
    assert head.metadata["x-bin"] == value.decode("latin-1")


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_any_metadata_is_metadata(name, value):
    assert read_head([*CALL, (b"x" + name, value)]).refusal is None


def test_what_is_no_call_gets_http_statuses():
    assert refused(call=[(b":method", b"GET"), *CALL[1:]]) == {b":status": b"405", b"allow": b"POST"}
    assert refused(call=[CALL[0], *CALL[2:]])[b":status"] == b"405"
    assert refused(call=[])[b":status"] == b"405"
    assert refused(call=[*CALL[:2], (b"content-type", b"text/html")]) == {b":status": b"415"}
    assert refused(call=CALL[:2]) == {b":status": b"415"}
    assert read_head([*CALL[:2], (b"content-type", b"application/grpc+proto")]).refusal is None


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate"])
def test_messages_may_be_compressed(coding):
    assert read_head([*CALL, (b"grpc-encoding", coding.encode())]).coding == coding


def test_unknown_codings_are_unimplemented_and_the_known_ones_told():
    answer = refused((b"grpc-encoding", b"snappy"))
    assert answer[b":status"] == b"200"
    assert answer[b"grpc-status"] == b"12"
    assert answer[b"grpc-accept-encoding"] == b"identity,deflate,gzip"
    assert b"snappy" in answer[b"grpc-message"]


def test_too_much_metadata_is_refused():
    room = MAX_HEADERS - sum(len(name) + len(value) + 32 for name, value in CALL) - 32 - 1
    assert read_head([*CALL, (b"x", b"a" * room)]).refusal is None
    assert refused((b"x", b"a" * (room + 1)))[b"grpc-status"] == b"8"
    assert refused(*[(b"x", b"")] * (MAX_HEADERS // 32))[b"grpc-status"] == b"8"


@given(st.text(max_size=1000), st.sampled_from(list(grpc.StatusCode)))
def test_statuses_are_told_with_any_text(text, code):
    for block in (trailers([("x-a", "1")], code, text), refusal(code, text, [("x-a", "1")])):
        fields = decoded(block)
        found = dict(fields)
        assert len(found) == len(fields)
        assert int(found[b"grpc-status"]) == code.value[0]
        assert all(0x20 <= octet < 0x7F for octet in found[b"grpc-message"])
        assert unquote(found[b"grpc-message"].decode(), errors="strict") == text
        assert fields[-1] == (b"x-a", b"1")


def test_plain_text_stays_as_it_is():
    text = "model 'a/b': no such version, 100 % sure & more?"
    assert dict(decoded(trailers([], grpc.StatusCode.NOT_FOUND, text)))[b"grpc-message"].decode() == text.replace(
        "%", "%25"
    )


def test_success_has_no_message():
    assert decoded(trailers([("x-a", "1")])) == [(b"grpc-status", b"0"), (b"x-a", b"1")]


def test_a_refusal_is_a_whole_answer():
    fields = decoded(refusal(grpc.StatusCode.INTERNAL, "no"))
    assert fields[:2] == [(b":status", b"200"), (b"content-type", b"application/grpc")]


def test_a_long_text_is_cut_so_that_its_block_fits_into_the_shortest_frame():
    block = refusal(grpc.StatusCode.INTERNAL, "\U0001f600" * 100_000)
    assert len(block) < 16_384
    assert unquote(dict(decoded(block))[b"grpc-message"].decode(), errors="strict") == "\U0001f600" * 1000


def test_text_that_no_encoding_knows_is_told_all_the_same():
    assert dict(decoded(refusal(grpc.StatusCode.INTERNAL, "a\ud800b")))[b"grpc-message"] == b"a?b"


def test_binary_metadata_may_hold_several_values():
    assert read_head([*CALL, (b"x-bin", b"YQ==,Yg"), (b"x-bin", b"Yw")]).metadata["x-bin"] == "a,b,c"
