import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_memory import FakeMemory
from support.strategies import json_tensors, requests, responses, tensors

from gateway.codecs.oip_http import (
    ResponseForm,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    parse_header_length,
)
from gateway.codecs.oip_outputs import NO_WISHES, OutputWishes
from gateway.codecs.shared_memory import SWITCHED_OFF, Window
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, GatewayError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferResponse, RequestContext
from gateway.core.tensors import Tensor

CONTEXT = RequestContext("test", started=0.0)
BINARY, JSON = ResponseForm(True, {}), ResponseForm(False, {})


def decode(body, header_length=None, limits=Limits(), memory=SWITCHED_OFF):
    return decode_request(body, header_length, "m", "", CONTEXT, limits, memory)


def document(**changes):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]} | changes
    return json.dumps({"inputs": [tensor]}).encode()


def binary(head, *blobs):
    header = json.dumps(head).encode()
    return header + b"".join(blobs), len(header)


def blob_input(size, shape=(1, 2), name="x"):
    return {"name": name, "datatype": "FP32", "shape": list(shape), "parameters": {"binary_data_size": size}}


def same(tensor, other):
    return (tensor.name, tensor.datatype, tensor.shape, bytes(tensor.data)) == (
        other.name,
        other.datatype,
        other.shape,
        bytes(other.data),
    )


@given(requests())
def test_binary_requests_round_trip(request):
    body, header_length = encode_request(request)
    decoded, form = decode_request(body, header_length, request.model, request.version, CONTEXT, Limits())
    assert all(map(same, decoded.inputs, request.inputs))
    assert (decoded.id, decoded.outputs) == (request.id, request.outputs)
    assert decoded.parameters == request.parameters
    assert all(form.is_binary(name) for name in (*request.outputs, "any other"))


@given(requests(json_tensors()))
def test_json_requests_round_trip(request):
    body, header_length = encode_request(request, binary=False)
    assert header_length is None
    decoded, form = decode_request(body, None, request.model, request.version, CONTEXT, Limits())
    assert all(map(same, decoded.inputs, request.inputs))
    assert not any(form.is_binary(name) for name in (*request.outputs, "any other"))


@given(responses())
def test_binary_responses_round_trip(response):
    decoded = decode_response(*encode_response(response, BINARY))
    assert all(map(same, decoded.outputs, response.outputs))
    assert (decoded.model, decoded.version, decoded.id) == (response.model, response.version, response.id)
    assert decoded.parameters == response.parameters


@given(responses(json_tensors()))
def test_json_responses_round_trip(response):
    body, header_length = encode_response(response, JSON)
    assert header_length is None
    assert all(map(same, decode_response(body, None).outputs, response.outputs))


@given(json_tensors(name=st.just("a")), tensors(name=st.just("b")))
def test_json_and_binary_outputs_mix(first, second):
    body, length = encode_response(InferResponse("m", "1", (first, second)), ResponseForm(False, {"b": True}))
    outputs = decode_response(body, length).outputs
    assert same(outputs[0], first)
    assert same(outputs[1], second)
    assert "data" in json.loads(body[:length])["outputs"][0]


def test_json_and_binary_inputs_mix():
    head = {
        "inputs": [
            blob_input(8, name="a"),
            {"name": "b", "datatype": "INT8", "shape": [2], "data": [1, -1]},
            blob_input(4, (1,), "c"),
        ]
    }
    decoded, _ = decode(*binary(head, b"\x00\x00\x80?" * 2, b"\x00\x00\x00@"))
    assert [tensor.to_numpy().tolist() for tensor in decoded.inputs] == [[[1.0, 1.0]], [1, -1], [2.0]]


def test_the_tensors_are_views_of_the_body():
    body, length = binary({"inputs": [blob_input(8)]}, b"\0" * 8)
    decoded, _ = decode(body, length)
    assert decoded.inputs[0].data.obj is body


def test_nested_data_is_accepted():
    decoded, _ = decode(document(shape=[2, 2], data=[[1, 2], [3, 4]]))
    assert decoded.inputs[0].to_numpy().tolist() == [[1, 2], [3, 4]]


def test_nan_and_infinity_tokens_are_accepted():
    decoded, _ = decode(b'{"inputs":[{"name":"x","datatype":"FP32","shape":[3],"data":[NaN,-Infinity,Infinity]}]}')
    values = decoded.inputs[0].to_numpy()
    assert np.isnan(values[0])
    assert values[1:].tolist() == [-np.inf, np.inf]


def test_null_stands_for_what_is_left_out():
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], "parameters": None}
    outputs = [{"name": "y", "parameters": None}]
    left_out = {"id": None, "parameters": None, "outputs": None}
    request, _ = decode(json.dumps({"inputs": [tensor], **left_out}).encode())
    assert (request.id, request.parameters, request.outputs) == ("", {}, ())
    request, _ = decode(json.dumps({"inputs": [tensor], "outputs": outputs}).encode())
    assert request.outputs == ("y",)


def test_unknown_keys_are_tolerated():
    decode(document(comment="hello"))


def test_an_empty_binary_tensor_is_valid():
    decoded, _ = decode(*binary({"inputs": [blob_input(0, (0, 2))]}))
    assert decoded.inputs[0].shape == (0, 2)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[1]", "JSON"),
        (b"{}", "inputs"),
        (b'{"inputs": 3}', "inputs"),
        (b'{"inputs": [{"name": "\xff"}]}', "UTF-8"),
        (document(datatype="FLOAT"), r"inputs\[0\] 'x'.datatype: unknown datatype 'FLOAT'"),
        (document(datatype="FP16"), "use the binary form"),
        (document(datatype="BF16"), "use the binary form"),
        (document(shape=[1, 3]), r"2 elements of shape \[2\] do not match shape \[1, 3\]"),
        (document(shape=[-1, 2]), "negative"),
        (document(shape=[1.5]), "integers"),
        (document(shape=[2**62, 2**62]), "multiply"),
        (document(data=[[1], [2]]), "do not match shape"),
        (document(data=[[1, 2], [3]]), "differ in length"),
        (document(data=[["a", "b"]]), "Expected `float`"),
        (document(data=[True, False]), "Expected `float`"),
        (document(data=5), "an array is expected"),
        (document(data=[1e300, 0]), "out of range for FP32"),
        (document(datatype="INT32", data=[1.0, 2]), "Expected `int`"),
        (document(datatype="UINT8", data=[256, 0]), "out of range for UINT8"),
        (document(datatype="UINT64", data=[2**64, 0]), "out of range for UINT64"),
        (document(datatype="INT64", data=[-(2**63) - 1, 0]), "out of range for INT64"),
        (document(datatype="BOOL", data=[0, 1]), "Expected `bool`"),
        (document(datatype="BYTES", data=[1, 2]), "Expected `str`"),
        (document(datatype="BYTES", shape=[2, 1], data=[["a"], ["b", "c"]]), "differ in length"),
        (document(parameters={"binary_data_size": 8}), "both data and"),
        (json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}).encode(), "neither data nor"),
        (json.dumps({"inputs": [], "parameters": {"a": [1]}}).encode(), r"parameters.a: a string, number or bool"),
        (json.dumps({"inputs": [], "parameters": {"a": 2**64}}).encode(), "does not fit 64 bits"),
        (json.dumps({"inputs": [], "parameters": {"binary_data_output": 1}}).encode(), "true or false"),
    ],
)
def test_bad_json_names_the_field(body, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode(body)


@pytest.mark.parametrize(
    ("head", "blob", "problem"),
    [
        ({"inputs": [blob_input(8)]}, b"\0" * 7, "8 bytes are announced, 7 are left"),
        ({"inputs": [blob_input(8)]}, b"\0" * 9, "1 bytes follow the last tensor"),
        ({"inputs": [blob_input(-1)]}, b"", "a number of bytes is expected, got -1"),
        ({"inputs": [blob_input("8")]}, b"\0" * 8, "a number of bytes is expected, got '8'"),
        ({"inputs": [blob_input(4)]}, b"\0" * 4, "needs 8 bytes, got 4"),
    ],
)
def test_bad_binary_parts_name_the_field(head, blob, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode(*binary(head, blob))


def test_a_header_length_past_the_body_is_refused():
    with pytest.raises(InvalidRequest, match="1000 is more than the body's 2 bytes"):
        decode(b"{}", 1000)


@pytest.mark.parametrize("value", ["-1", "1.0", "", "٣", "0x10", "1 "])
def test_a_header_length_must_be_a_plain_number(value):
    with pytest.raises(InvalidRequest, match="Inference-Header-Content-Length"):
        parse_header_length(value)


def test_nesting_past_the_limit_is_refused_and_brackets_in_strings_do_not_count():
    with pytest.raises(InvalidRequest, match="deeper than 100"):
        decode(b'{"inputs":' + b"[" * 5000 + b"]" * 5000 + b"}")
    decode(json.dumps({"inputs": [], "note": "[{" * 500}).encode())
    flat = json.dumps({"inputs": [], "note": [[] for _ in range(5000)]}).encode()
    decode(flat)


def test_limits_are_kept():
    two = json.dumps({"inputs": [{"name": n, "datatype": "INT8", "shape": [1], "data": [1]} for n in "ab"]}).encode()
    with pytest.raises(PayloadTooLarge, match="limit of 1"):
        decode(two, limits=Limits(tensors=1))
    with pytest.raises(PayloadTooLarge, match="limit of 1"):
        decode(document(), limits=Limits(elements=1))


# wishes for outputs


def wanted(*outputs, **changes):
    return json.dumps({"inputs": [], "outputs": list(outputs)} | changes).encode()


def test_classes_are_asked_for_by_output():
    _, form = decode(wanted({"name": "y", "parameters": {"classification": 3}}, {"name": "z"}))
    assert form.wishes.classes == {"y": 3}
    _, form = decode(wanted({"name": "y", "parameters": {"classification": 0}}))
    assert form.wishes == NO_WISHES


WINDOW = {"shared_memory_region": "r", "shared_memory_byte_size": 8}


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"classification": -1}, "classification: a number of classes is expected, got -1"),
        ({"classification": True}, "classification: a number of classes is expected, got True"),
        ({"classification": "3"}, "classification: a number of classes is expected, got '3'"),
        ({"classification": 3, **WINDOW}, "exclude each other"),
        ({"shared_memory_region": "r"}, "shared_memory_byte_size: is missing"),
        (WINDOW | {"shared_memory_region": 3}, "shared_memory_region: the name of a region is expected, got 3"),
        (WINDOW | {"shared_memory_region": ""}, "the name of a region is expected"),
        (WINDOW | {"shared_memory_offset": -1}, "shared_memory_offset: a number of bytes is expected, got -1"),
        (WINDOW | {"shared_memory_byte_size": 1.5}, "shared_memory_byte_size: a number of bytes is expected, got 1.5"),
    ],
)
def test_bad_wishes_name_the_field(parameters, problem):
    with pytest.raises(InvalidRequest, match=r"outputs\[0\].parameters.*" + problem):
        decode(wanted({"name": "y", "parameters": parameters}))


# shared memory


def shared_input(**changes):
    tensor = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": WINDOW} | changes
    return json.dumps({"inputs": [tensor]}).encode()


def test_shared_memory_that_is_off_says_how_to_switch_it_on():
    with pytest.raises(Unsupported, match="`shared_memory: true`"):
        decode(shared_input())


def test_an_input_comes_out_of_shared_memory():
    memory = FakeMemory(b"...." + np.array([1, 2], np.float32).tobytes())
    parameters = WINDOW | {"shared_memory_offset": 4}
    request, _ = decode(shared_input(parameters=parameters), memory=memory)
    assert request.inputs[0].to_numpy().tolist() == [1, 2]


def test_an_input_is_in_one_place():
    with pytest.raises(InvalidRequest, match=r"both data and parameters\.shared_memory_region"):
        decode(shared_input(data=[1, 2]), memory=FakeMemory(bytes(8)))
    with pytest.raises(InvalidRequest, match=r"both data and parameters\.shared_memory_region"):
        decode(shared_input(parameters=WINDOW | {"binary_data_size": 8}), memory=FakeMemory(bytes(8)))


def test_what_is_in_shared_memory_must_fit_the_shape_and_the_limit():
    with pytest.raises(InvalidRequest, match="needs 12 bytes, got 8"):
        decode(shared_input(shape=[3]), memory=FakeMemory(bytes(8)))
    with pytest.raises(PayloadTooLarge, match="8 bytes in shared memory are over the limit of 7"):
        decode(shared_input(), limits=Limits(body_bytes=7), memory=FakeMemory(bytes(8)))


def test_outputs_in_shared_memory_bring_neither_data_nor_parameters():
    first, second = Tensor("y", Datatype.INT8, (2,), b"ab"), Tensor("z", Datatype.INT8, (1,), b"c")
    wishes = OutputWishes({}, {"y": Window("r", 10, 3)})
    body, length = encode_response(InferResponse("m", "1", (first, second)), ResponseForm(True, {}, wishes))
    assert body[length:] == b"c"
    assert json.loads(body[:length])["outputs"][0] == {"name": "y", "datatype": "INT8", "shape": [2]}
    body, length = encode_response(InferResponse("m", "1", (first,)), ResponseForm(True, {}, wishes))
    assert length is None


def test_an_id_is_there_only_when_the_client_gave_one():
    assert "id" not in json.loads(encode_response(InferResponse("m", "1", ()), JSON)[0])
    assert json.loads(encode_response(InferResponse("m", "1", (), id="7"), JSON)[0])["id"] == "7"


def test_a_body_without_json_is_no_ordinary_request():
    with pytest.raises(InvalidRequest, match="0 bytes of JSON"):
        decode(b"\0" * 8, 0)


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor.from_numpy("y", np.array([np.nan], np.float32)),
        Tensor.from_numpy("y", np.array([-np.inf])),
        Tensor.from_numpy("y", np.zeros(1, np.float16)),
        Tensor("y", Datatype.BF16, (1,), b"\0\0"),
        Tensor.from_numpy("y", np.array([b"\xff"], dtype=object)),
    ],
)
def test_what_json_cannot_carry_asks_for_the_binary_form(tensor):
    with pytest.raises(Unsupported, match="binary form"):
        encode_response(InferResponse("m", "1", (tensor,)), JSON)


def test_a_parameter_that_json_cannot_carry_is_refused():
    response = InferResponse("m", "1", (), parameters={"p": float("inf")})
    with pytest.raises(Unsupported, match=r"parameters\.p"):
        encode_response(response, JSON)


KNOWN = [
    "shared_memory_region",
    "shared_memory_byte_size",
    "shared_memory_offset",
    "classification",
    "binary_data",
    "binary_data_size",
    "binary_data_output",
    "priority",
    "timeout",
    "triton_x",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
any_parameters = st.dictionaries(st.sampled_from(KNOWN), anything, max_size=4)


@given(any_parameters, any_parameters, any_parameters)
def test_no_parameter_raises_anything_but_our_errors(of_request, of_input, of_output):
    body = {
        "inputs": [{"name": "x", "datatype": "INT8", "shape": [0], "parameters": of_input}],
        "outputs": [{"name": "y", "parameters": of_output}],
        "parameters": of_request,
    }
    try:
        decode(json.dumps(body).encode(), memory=FakeMemory(b""))
    except GatewayError as error:
        assert error.message


@given(st.binary(max_size=200), st.none() | st.integers(0, 300))
def test_garbage_never_raises_anything_but_our_errors(body, header_length):
    for call in (lambda: decode(body, header_length), lambda: decode_response(body, header_length)):
        try:
            call()
        except GatewayError as error:
            assert error.message


def test_a_broken_answer_is_the_backends_fault():
    with pytest.raises(BackendError, match="breaks the protocol"):
        decode_response(b"<html>", None)


def test_a_client_may_take_the_bare_tokens():
    asked = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}],
        "parameters": {"nan_tokens": True},
    }
    request, form = decode(json.dumps(asked).encode())
    assert dict(request.parameters) == {}
    numbers = np.array([np.nan, np.inf, -np.inf, -0.0, 0.1], np.float32)
    body, length = encode_response(InferResponse("m", "1", (Tensor.from_numpy("y", numbers),)), form)
    assert length is None
    assert b"[NaN, Infinity, -Infinity, -0.0," in body
    back = np.array(json.loads(body)["outputs"][0]["data"], np.float32)
    assert back.tobytes() == numbers.tobytes()
    with pytest.raises(Unsupported, match="NaN or Infinity has no JSON form"):
        encode_response(InferResponse("m", "1", (Tensor.from_numpy("y", numbers),)), JSON)
    with pytest.raises(InvalidRequest, match=r"parameters\.nan_tokens: true or false"):
        decode(json.dumps(asked | {"parameters": {"nan_tokens": 1}}).encode())
