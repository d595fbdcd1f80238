"""Cutting fields out of serialised messages, beside the library."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import requests

from gateway.codecs.oip_grpc import encode_request
from gateway.codecs.packed import cut_out
from gateway.protos.loader import message_class

Request = message_class("inference.ModelInferRequest")
RAW = 7 << 3 | 2


def by_the_library(serialised):
    message = Request.FromString(serialised)
    raw = list(message.raw_input_contents)
    message.ClearField("raw_input_contents")
    return message, raw


def by_hand(serialised):
    rest, raw = cut_out(serialised, RAW)
    return Request.FromString(rest), [bytes(each) for each in raw]


@given(requests())
def test_what_is_left_and_what_is_cut_out_is_as_the_library_reads_it(request):
    serialised = encode_request(request)
    assert by_hand(serialised) == by_the_library(serialised)


@given(st.lists(st.one_of(requests().map(encode_request), st.binary(max_size=20)), max_size=3).map(b"".join), st.data())
def test_whatever_the_message_is(serialised, data):
    """Fields in any order, rubbish among them, cut short: the same answer as the library, or none."""
    serialised = serialised[: data.draw(st.integers(0, len(serialised)))]
    if cut_out(serialised, RAW) is None:
        return
    try:
        expected = by_the_library(serialised)
    except DecodeError:
        with pytest.raises(DecodeError):
            by_hand(serialised)
    else:
        assert by_hand(serialised) == expected


def test_contents_are_not_copied():
    serialised = Request(model_name="m", raw_input_contents=[b"abc", b"", b"de"]).SerializeToString()
    _, raw = cut_out(serialised, RAW)
    assert raw == [b"abc", b"", b"de"]
    assert all(each.obj is serialised for each in raw)


@pytest.mark.parametrize(
    "serialised",
    [
        b"\x3a\x05abcd",  # too short for its length
        b"\x3a",
        b"\x3a\x80",
        b"\x3b\x3c",  # a group
        b"\x3f",  # a wire type that is none
        b"\x3a\x81\x80\x80\x80\x80\x00a",  # the length in six
    ],
)
def test_what_is_not_plain_is_left_to_the_library(serialised):
    assert cut_out(serialised, RAW) is None
