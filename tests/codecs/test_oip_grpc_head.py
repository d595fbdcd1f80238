"""The first look at a serialised request."""

import pytest

from gateway.codecs.oip_grpc_head import model_and_version
from gateway.protos.loader import message_class

Request = message_class("inference.ModelInferRequest")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"model_name": "m"}, ("m", "")),
        ({"model_name": "m", "model_version": "12", "id": "7"}, ("m", "12")),
        ({"model_name": "m", "id": "7", "raw_input_contents": [b"x" * 300]}, ("m", "")),
        ({"model_name": "ä" * 63, "model_version": "1"}, ("ä" * 63, "1")),
        ({"model_name": "m" * 128, "model_version": "1"}, None),
        ({"model_version": "1"}, None),
        ({}, None),
    ],
)
def test_it_finds_what_libraries_write_first(fields, found):
    assert model_and_version(Request(**fields).SerializeToString()) == found


@pytest.mark.parametrize("data", [b"\n", b"\n\x01", b"\n\x02\xff\xff", b"\x12\x01m"])
def test_anything_else_is_left_to_the_decoder(data):
    assert model_and_version(data) in (None, ("", ""))
