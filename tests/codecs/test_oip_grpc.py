import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_memory import FakeMemory
from support.strategies import requests, responses

from gateway.codecs.oip_grpc import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    encode_stream_error,
    encode_stream_response,
)
from gateway.codecs.oip_outputs import NO_WISHES, OutputWishes
from gateway.codecs.shared_memory import SWITCHED_OFF, Window
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferResponse, RequestContext
from gateway.core.tensors import Tensor
from gateway.protos.loader import message_class

CONTEXT = RequestContext("test", started=0.0)
Request = message_class("inference.ModelInferRequest")
StreamResponse = message_class("inference.ModelStreamInferResponse")


def decode(message, limits=Limits(), memory=SWITCHED_OFF):
    return decode_request(message.SerializeToString(), CONTEXT, limits, memory)[0]


def message(datatype="FP32", shape=(2,), raw=(), **contents):
    built = Request(model_name="m")
    tensor = built.inputs.add(name="x", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    built.raw_input_contents.extend(raw)
    return built


@given(requests())
def test_requests_round_trip(request):
    decoded, wishes = decode_request(encode_request(request), CONTEXT, Limits())
    assert decoded == request
    assert wishes == NO_WISHES


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


def test_classes_are_asked_for_by_output():
    classified = message(fp32_contents=[1, 2])
    classified.outputs.add(name="y").parameters["classification"].int64_param = 2
    classified.outputs.add(name="z").parameters["classification"].uint64_param = 3
    _, wishes = decode_request(classified.SerializeToString(), CONTEXT, Limits())
    assert wishes.classes == {"y": 2, "z": 3}


# shared memory


def in_memory(tensor, region="r", size=8, offset=0):
    tensor.parameters["shared_memory_region"].string_param = region
    tensor.parameters["shared_memory_byte_size"].int64_param = size
    tensor.parameters["shared_memory_offset"].int64_param = offset
    return tensor


def test_shared_memory_that_is_off_says_how_to_switch_it_on():
    shared = message()
    in_memory(shared.inputs[0])
    with pytest.raises(Unsupported, match="`shared_memory: true`"):
        decode(shared)


def test_inputs_in_shared_memory_have_no_raw_contents():
    shared = message(raw=[b"\1" * 8])
    in_memory(shared.inputs.add(name="s", datatype="FP32", shape=[2]), offset=4)
    request = decode(shared, memory=FakeMemory(bytes(range(16))))
    assert [bytes(tensor.data) for tensor in request.inputs] == [b"\1" * 8, bytes(range(4, 12))]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: m.raw_input_contents.append(b"\0" * 8), "1 entries for 0 inputs"),
        (lambda m: m.inputs[0].contents.fp32_contents.append(1), "must be empty when shared memory is used"),
        (lambda m: m.inputs[0].parameters["shared_memory_offset"].ClearField("int64_param"), "no value is set"),
        (lambda m: in_memory(m.inputs[0], size=-1), "shared_memory_byte_size: a number of bytes is expected, got -1"),
        (lambda m: in_memory(m.inputs[0], size=4), "needs 8 bytes, got 4"),
    ],
)
def test_bad_windows_name_the_field(change, problem):
    shared = message()
    in_memory(shared.inputs[0])
    change(shared)
    with pytest.raises(InvalidRequest, match=problem):
        decode(shared, memory=FakeMemory(bytes(16)))


def test_the_limit_holds_for_what_is_in_shared_memory():
    shared = message()
    in_memory(shared.inputs[0])
    with pytest.raises(PayloadTooLarge, match="8 bytes in shared memory are over the limit of 7"):
        decode(shared, Limits(body_bytes=7), FakeMemory(bytes(16)))


def test_outputs_in_shared_memory_have_an_empty_entry():
    response = InferResponse(
        "m", "1", (Tensor("y", Datatype.INT8, (2,), b"ab"), Tensor("z", Datatype.INT8, (1,), b"c"))
    )
    wishes = OutputWishes({}, {"y": Window("r", 10, 3)})
    message = message_class("inference.ModelInferResponse").FromString(encode_response(response, wishes))
    assert list(message.raw_output_contents) == [b"", b"c"]


# streams


def test_an_error_of_a_stream_names_its_request():
    request = Request(model_name="m", model_version="3", id="7").SerializeToString()
    for data, wanted in ((request, ("7", "m", "3")), (b"\xff", ("", "", ""))):
        error = StreamResponse.FromString(encode_stream_error("no", data))
        answer = error.infer_response
        assert error.error_message == "no"
        assert (answer.id, answer.model_name, answer.model_version) == wanted


def test_an_answer_of_a_stream_says_that_it_is_the_only_one():
    answer = StreamResponse.FromString(encode_stream_response(InferResponse("m", "1", (), parameters={"p": 1})))
    assert answer.error_message == ""
    assert answer.infer_response.parameters["triton_final_response"].bool_param
    assert answer.infer_response.parameters["p"].int64_param == 1


def test_the_wish_for_an_empty_last_answer_is_not_passed_on():
    wish = message(raw=[b"\0" * 8])
    wish.parameters["triton_enable_empty_final_response"].bool_param = True
    wish.parameters["p"].int64_param = 1
    assert decode(wish).parameters == {"p": 1}
    wish.parameters["triton_enable_empty_final_response"].int64_param = 1
    with pytest.raises(InvalidRequest, match="triton_enable_empty_final_response: true or false is expected"):
        decode(wish)


KNOWN = [
    "shared_memory_region",
    "shared_memory_byte_size",
    "shared_memory_offset",
    "classification",
    "priority",
    "timeout",
    "triton_enable_empty_final_response",
]
values = st.one_of(
    st.tuples(st.just("bool_param"), st.booleans()),
    st.tuples(st.just("int64_param"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("uint64_param"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("double_param"), st.floats()),
    st.tuples(st.just("string_param"), st.text(max_size=3)),
)
any_parameters = st.dictionaries(st.sampled_from(KNOWN), values, max_size=4)


@given(any_parameters, any_parameters, any_parameters, st.booleans())
def test_no_parameter_raises_anything_but_our_errors(of_request, of_input, of_output, raw):
    built = message("INT8", (0,), [b""] if raw else [])
    targets = (built, built.inputs[0], built.outputs.add(name="y"))
    for target, parameters in zip(targets, (of_request, of_input, of_output), strict=True):
        for name, (kind, value) in parameters.items():
            setattr(target.parameters[name], kind, value)
    try:
        decode(built, memory=FakeMemory(b""))
    except GatewayError as error:
        assert error.message


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_but_our_errors(data):
    for call in (lambda: decode_request(data, CONTEXT, Limits()), lambda: decode_response(data)):
        try:
            call()
        except GatewayError as error:
            assert error.message
