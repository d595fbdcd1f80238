import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.tfs_rest import decode_inputs, encode_predict_response, parse_predict_body
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, split_bytes

ONE = Signature((TensorSpec("x", Datatype.FP32, (-1, 2)),), (TensorSpec("y", Datatype.FP32, (-1,)),))
TWO = Signature(
    (TensorSpec("a", Datatype.INT32, (-1,)), TensorSpec("b", Datatype.BYTES, (-1,))),
    (TensorSpec("y", Datatype.FP32, (-1,)),),
)


def decode(document, signature=ONE, limits=Limits()):
    """The inputs, and whether they came as rows."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    body = parse_predict_body(data, signature, limits)
    return decode_inputs(body, signature, limits), body.rows


def arrays(document, signature=ONE):
    return {tensor.name: tensor.to_numpy().tolist() for tensor in decode(document, signature)[0]}


def test_row_form():
    inputs, rows = decode({"instances": [[1, 2], [3, 4]]})
    assert rows
    assert inputs[0].shape == (2, 2)
    assert arrays({"instances": [{"x": [1, 2]}]}) == {"x": [[1, 2]]}
    assert arrays({"instances": [{"a": 1, "b": "q"}, {"a": 2, "b": "r"}]}, TWO) == {"a": [1, 2], "b": [b"q", b"r"]}


def test_columnar_form():
    inputs, rows = decode({"inputs": [[1, 2]]})
    assert not rows
    assert inputs[0].shape == (1, 2)
    assert arrays({"inputs": {"a": [1], "b": ["q"]}}, TWO) == {"a": [1], "b": [b"q"]}


@pytest.mark.parametrize("document", [{"instances": [{"text": "a"}, {"text": "b"}]}, {"inputs": {"text": ["a", "b"]}}])
def test_raw_elements_are_handed_on_under_their_own_name(document):
    ((tensor,), _) = decode(document)
    assert (tensor.name, tensor.datatype, tensor.shape) == ("text", Datatype.BYTES, (2,))
    assert split_bytes(tensor.data, "text") == [b"a", b"b"]


@pytest.mark.parametrize("key", ["instances", "inputs"])
@pytest.mark.parametrize("signature", [ONE, Signature((*ONE.inputs, TensorSpec("mask", Datatype.INT64, (-1,))), ())])
def test_pictures_and_texts_need_no_name_where_the_model_prepares_them(key, signature):
    raw = json.dumps({key: ["a", {"b64": "/w=="}]}).encode()
    body = parse_predict_body(raw, signature, Limits())
    (tensor,) = decode_inputs(body, signature, Limits(), prepares=True)
    assert (tensor.name, tensor.datatype, tensor.shape) == ("raw", Datatype.BYTES, (2,))
    assert split_bytes(tensor.data, "raw") == [b"a", b"\xff"]
    with pytest.raises(InvalidRequest):
        decode_inputs(body, signature, Limits())


def test_base64_bytes():
    encoded = {"b64": base64.b64encode(b"\xff\0").decode()}
    inputs, _ = decode({"instances": [{"a": 1, "b": encoded}]}, TWO)
    assert split_bytes(inputs[1].data, "b") == [b"\xff\0"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "exactly one of"),
        ({"inputs": [[1, 2]], "instances": [[1, 2]]}, "exactly one of"),
        ({"instances": []}, "at least one instance"),
        ({"instances": 3}, "at least one instance"),
        ({"instances": [{"x": [1, 2]}, {"q": [1, 2]}]}, r"instances\[1\]: the same inputs"),
        ({"instances": [{"q": [1, 2]}]}, "unknown input 'q'"),
        ({"instances": [{"q": "a", "x": [1, 2]}]}, "unknown input 'q'"),
        ({"instances": [[1, 2], [3]]}, "differ in length"),
        ({"instances": [["a", "b"]]}, "Expected `float`"),
        ({"instances": [[1, 2]], "signature_name": 3}, "signature_name"),
        ({"instances": [[1, 2], {"x": [1, 2]}]}, r"Expected `array`"),
        ({"instances": [[1, None]]}, "instances"),
        ({"instances": [[1, [2]]]}, "instances"),
    ],
)
def test_bad_requests_name_the_field(document, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode(document)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"instances": [1, 2]}, "name them"),
        ({"inputs": {"a": [1.0], "b": ["q"]}}, "Expected `int`"),
        ({"inputs": {"a": [1], "b": [{"b64": "!"}]}}, "b64"),
        ({"inputs": {"a": [1], "b": [{"b64": "QQ==", "c": 1}]}}, "only key"),
        ({"inputs": {"a": [1], "b": [["q"], "r"]}}, "differ in length"),
        ({"inputs": {"a": [1], "b": [5]}}, "a string is expected, got int"),
    ],
)
def test_bad_requests_with_two_inputs_name_the_field(document, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode(document, TWO)


def test_a_half_float_input_has_no_json_form():
    half = Signature((TensorSpec("x", Datatype.FP16, (-1,)),), ())
    with pytest.raises(Unsupported, match="use gRPC"):
        decode({"inputs": [1]}, half)


def response(**arrays):
    return InferResponse("m", "1", tuple(Tensor.from_numpy(name, array) for name, array in arrays.items()))


def test_a_single_output_is_unnamed():
    y = np.array([[1, 2]], np.float32)
    assert json.loads(encode_predict_response(response(y=y), rows=True)) == {"predictions": [[1, 2]]}
    assert json.loads(encode_predict_response(response(y=y), rows=False)) == {"outputs": [[1, 2]]}


def test_several_outputs_are_named():
    both = response(y=np.array([1, 2]), z=np.array([b"a", b"b"], object))
    assert json.loads(encode_predict_response(both, rows=True)) == {
        "predictions": [{"y": 1, "z": "a"}, {"y": 2, "z": "b"}]
    }
    assert json.loads(encode_predict_response(both, rows=False)) == {"outputs": {"y": [1, 2], "z": ["a", "b"]}}


def test_floats_are_written_short_and_nan_as_a_token():
    assert encode_predict_response(response(y=np.array([0.1], np.float32)), rows=False) == b'{"outputs":[0.1]}'
    assert b"NaN" in encode_predict_response(response(y=np.array([np.nan, 1], np.float32)), rows=False)


def test_outputs_called_bytes_are_base64():
    encoded = json.loads(encode_predict_response(response(raw_bytes=np.array([b"\xff"], object)), rows=False))
    assert base64.b64decode(encoded["outputs"][0]["b64"]) == b"\xff"


def test_a_half_float_output_has_no_json_form():
    with pytest.raises(Unsupported, match="use gRPC"):
        encode_predict_response(response(y=np.zeros(1, np.float16)), rows=True)


NUMBERS = {
    "floats": ONE,
    "whole numbers": Signature((TensorSpec("x", Datatype.INT32, (-1, 2)),), ()),
    "text": Signature((TensorSpec("x", Datatype.BYTES, (-1, 2)),), ()),
}
json_values = st.recursive(
    st.one_of(st.integers(-5, 5), st.floats(-1e9, 1e9), st.booleans(), st.text(max_size=2), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["x", "b64", "y"]), inner, max_size=2)
    ),
    max_leaves=6,
)
pairs = st.one_of(st.integers(-5, 5), st.floats(-5, 5)).flatmap(lambda number: st.just([number, number]))
bodies = st.one_of(
    json_values, st.lists(pairs), st.lists(st.fixed_dictionaries({"x": pairs})), st.just({"x": [[1, 2]]})
)


@given(st.sampled_from(["instances", "inputs"]), bodies, st.sampled_from(list(NUMBERS.values())))
def test_reading_numbers_fast_changes_nothing(key, data, signature):
    raw = json.dumps({key: data}).encode()

    def outcome(expected):
        try:
            return decode_inputs(parse_predict_body(raw, expected, Limits()), signature, Limits())
        except GatewayError as error:
            return type(error), error.message

    assert outcome(signature) == outcome(NUMBERS["text"])


def test_scalars_are_no_lists():
    assert arrays({"inputs": 1.5}, Signature((TensorSpec("x", Datatype.FP32, ()),), ())) == {"x": 1.5}
    assert arrays({"instances": [1, 2]}, Signature((TensorSpec("x", Datatype.INT8, (-1,)),), ())) == {"x": [1, 2]}
    assert encode_predict_response(response(y=np.array(0.1, np.float32)), rows=False) == b'{"outputs":0.1}'
    assert encode_predict_response(response(y=np.array(b"a", object)), rows=False) == b'{"outputs":"a"}'


def test_further_keys_of_the_columns_are_not_looked_at():
    assert arrays({"inputs": {"a": [1], "b": ["q"], "c": "?"}}, TWO) == {"a": [1], "b": [b"q"]}


@pytest.mark.parametrize("encoded", ["/w==", "/w", " /w = =\n"])
def test_base64_is_read_as_leniently_as_tensorflow_serving_does(encoded):
    assert arrays({"inputs": {"a": [1], "b": [{"b64": encoded}]}}, TWO)["b"] == [b"\xff"]


def test_infinite_numbers_are_tokens():
    assert repr(arrays({"instances": [[float("nan"), float("-inf")]]})) == "{'x': [[nan, -inf]]}"


def test_limits_are_kept():
    with pytest.raises(PayloadTooLarge):
        decode({"inputs": [[1, 2]]}, limits=Limits(elements=1))
    with pytest.raises(PayloadTooLarge):
        decode({"inputs": {"a": [1], "b": ["q"]}}, TWO, Limits(tensors=1))


@pytest.mark.parametrize("arrays", [{"y": np.array(1.0)}, {"y": np.array([1.0, 2.0]), "z": np.array([1.0])}])
def test_outputs_that_are_no_rows_are_for_the_columnar_form(arrays):
    with pytest.raises(InvalidRequest, match="use 'inputs'"):
        encode_predict_response(response(**arrays), rows=True)
    assert encode_predict_response(response(**arrays), rows=False)


def test_bytes_that_are_not_text_are_not_made_into_other_text():
    with pytest.raises(Unsupported, match="'_bytes'"):
        encode_predict_response(response(raw=np.array([b"\xff"], object)), rows=False)


def test_an_unaligned_output_is_encoded():
    data = memoryview(b"_" + np.array([1.5, 2.5], "<f8").tobytes())[1:]
    odd = InferResponse("m", "1", (Tensor("y", Datatype.FP64, (2,), data),))
    assert encode_predict_response(odd, rows=True) == b'{"predictions":[1.5,2.5]}'


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_but_our_errors(body):
    try:
        decode(body)
    except GatewayError as error:
        assert error.message
