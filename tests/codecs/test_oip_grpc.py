import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import requests, responses

from gateway.codecs.oip_grpc import decode_request, decode_response, encode_request, encode_response
from gateway.core.errors import GatewayError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import RequestContext
from gateway.protos.loader import message_class

CONTEXT = RequestContext("test", started=0.0)
Request = message_class("inference.ModelInferRequest")


def decode(message, limits=Limits()):
    return decode_request(message.SerializeToString(), CONTEXT, limits)


def message(datatype="FP32", shape=(2,), raw=(), **contents):
    built = Request(model_name="m")
    tensor = built.inputs.add(name="x", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    built.raw_input_contents.extend(raw)
    return built


@given(requests())
def test_requests_round_trip(request):
    decoded = decode_request(encode_request(request), CONTEXT, Limits())
    assert decoded == request


@given(responses())
def test_responses_round_trip(response):
    assert decode_response(encode_response(response)) == response


@pytest.mark.parametrize(
    ("datatype", "field", "values", "dtype"),
    [
        ("BOOL", "bool_contents", [True, False], "?"),
        ("INT8", "int_contents", [-128, 127], "i1"),
        ("INT16", "int_contents", [-32768, 1], "i2"),
        ("INT32", "int_contents", [-(2**31), 1], "i4"),
        ("INT64", "int64_contents", [-(2**63), 1], "i8"),
        ("UINT8", "uint_contents", [255, 0], "u1"),
        ("UINT16", "uint_contents", [65535, 0], "u2"),
        ("UINT32", "uint_contents", [2**32 - 1, 0], "u4"),
        ("UINT64", "uint64_contents", [2**64 - 1, 0], "u8"),
        ("FP32", "fp32_contents", [1.5, -0.0], "f4"),
        ("FP64", "fp64_contents", [1e300, -0.0], "f8"),
    ],
)
def test_typed_contents_become_raw_bytes(datatype, field, values, dtype):
    (tensor,) = decode(message(datatype, **{field: values})).inputs
    assert tensor.data == np.array(values, dtype).tobytes()


def test_typed_bytes_get_their_length_prefixes():
    (tensor,) = decode(message("BYTES", bytes_contents=[b"a", b""])).inputs
    assert tensor.data == b"\x01\0\0\0a\0\0\0\0"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (message(raw=[b"\0" * 8], fp32_contents=[1, 2]), "contents: must be empty when raw_input_contents"),
        (message(raw=[b"\0" * 8, b""]), "2 entries for 1 inputs"),
        (message(raw=[b"\0" * 7]), "needs 8 bytes, got 7"),
        (message(fp32_contents=[1]), "1 elements do not match shape"),
        (message(fp64_contents=[1, 2]), "FP32 belongs in fp32_contents"),
        (message("FP16"), "no typed form"),
        (message("INT8", int_contents=[128, 0]), "out of range for INT8"),
        (message("FP31", raw=[b""]), "unknown datatype 'FP31'"),
        (message(shape=[-1], raw=[b""]), "negative"),
    ],
)
def test_bad_messages_name_the_field(bad, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode(bad)


def test_an_unset_parameter_is_refused():
    bad = message(raw=[b"\0" * 8])
    bad.parameters["p"].SetInParent()
    with pytest.raises(InvalidRequest, match=r"parameters\.p"):
        decode(bad)


def test_limits_are_kept():
    with pytest.raises(PayloadTooLarge, match="limit of 1"):
        decode(message(fp32_contents=[1, 2]), Limits(elements=1))
    with pytest.raises(PayloadTooLarge, match="limit of 0"):
        decode(message(fp32_contents=[1, 2]), Limits(tensors=0))


def test_extensions_that_are_not_there_are_refused_by_name():
    shared = message()
    shared.inputs[0].parameters["shared_memory_region"].string_param = "r"
    with pytest.raises(Unsupported, match="shared memory"):
        decode(shared)
    classified = message(fp32_contents=[1, 2])
    classified.outputs.add(name="y").parameters["classification"].int64_param = 2
    with pytest.raises(Unsupported, match="classification"):
        decode(classified)


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_but_our_errors(data):
    for call in (lambda: decode_request(data, CONTEXT, Limits()), lambda: decode_response(data)):
        try:
            call()
        except GatewayError as error:
            assert error.message
