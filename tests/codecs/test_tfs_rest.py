import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.tfs_rest import decode_predict_request, encode_metadata, encode_predict_response, encode_status
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError, InvalidRequest, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, split_bytes

ONE = Signature((TensorSpec("x", Datatype.FP32, (-1, 2)),), (TensorSpec("y", Datatype.FP32, (-1,)),))
TWO = Signature(
    (TensorSpec("a", Datatype.INT32, (-1,)), TensorSpec("b", Datatype.BYTES, (-1,))),
    (TensorSpec("y", Datatype.FP32, (-1,)),),
)


def decode(document, signature=ONE):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode_predict_request(body, "m", "", signature, RequestContext("test"), Limits())


def arrays(document, signature=ONE):
    request, _ = decode(document, signature)
    return {tensor.name: tensor.to_numpy().tolist() for tensor in request.inputs}


def test_row_form():
    request, rows = decode({"instances": [[1, 2], [3, 4]]})
    assert rows
    assert request.inputs[0].shape == (2, 2)
    assert arrays({"instances": [{"x": [1, 2]}]}) == {"x": [[1, 2]]}
    assert arrays({"instances": [{"a": 1, "b": "q"}, {"a": 2, "b": "r"}]}, TWO) == {"a": [1, 2], "b": [b"q", b"r"]}


def test_columnar_form():
    request, rows = decode({"inputs": [[1, 2]]})
    assert not rows
    assert request.inputs[0].shape == (1, 2)
    assert arrays({"inputs": {"a": [1], "b": ["q"]}}, TWO) == {"a": [1], "b": [b"q"]}


@pytest.mark.parametrize("document", [{"instances": [{"text": "a"}, {"text": "b"}]}, {"inputs": {"text": ["a", "b"]}}])
def test_raw_elements_are_handed_on_under_their_own_name(document):
    (tensor,) = decode(document)[0].inputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("text", Datatype.BYTES, (2,))
    assert split_bytes(tensor.data, "text") == [b"a", b"b"]


def test_base64_bytes():
    encoded = {"b64": base64.b64encode(b"\xff\0").decode()}
    request, _ = decode({"instances": [{"a": 1, "b": encoded}]}, TWO)
    assert split_bytes(request.inputs[1].data, "b") == [b"\xff\0"]


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
        ({"instances": [[1, 2]], "signature_name": "other"}, "signature_name"),
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
    with pytest.raises(InvalidRequest, match="use gRPC"):
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


def test_status_and_metadata_have_tensorflow_servings_shape():
    status = json.loads(encode_status([("1", True)]))["model_version_status"]
    assert status == [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]
    definition = json.loads(encode_metadata("m", "1", ONE))["metadata"]["signature_def"]["signature_def"]
    x = definition["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}, {"size": "2", "name": ""}]


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_but_our_errors(body):
    try:
        decode(body)
    except GatewayError as error:
        assert error.message
