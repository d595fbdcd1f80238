"""Our two ends of TensorFlow Serving's REST API against each other, bit for bit."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import names, tensors

from gateway.codecs import tfs_rest_client as client
from gateway.codecs.tfs_json import NO_JSON_FORM
from gateway.codecs.tfs_rest import decode_inputs, encode_predict_response, parse_predict_body
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, GatewayError, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor

CARRIED = tuple(set(Datatype) - set(NO_JSON_FORM))
FLOATS = {Datatype.FP32: "<f4", Datatype.FP64: "<f8"}


def same_nan(tensor):
    """``tensor`` with every NaN made the one that the token stands for."""
    if tensor.datatype not in FLOATS:
        return tensor
    array = tensor.to_numpy().copy()
    array[np.isnan(array)] = np.nan
    return Tensor(tensor.name, tensor.datatype, tensor.shape, array.tobytes())


def loses_sizes(tensor):
    return 0 in tensor.shape[:-1]


carried = tensors(datatypes=CARRIED).filter(lambda tensor: not loses_sizes(tensor)).map(same_nan)
some = st.lists(carried, min_size=1, max_size=3, unique_by=lambda tensor: tensor.name)


def specs(given_):
    return tuple(TensorSpec(tensor.name, tensor.datatype, (-1,) * len(tensor.shape)) for tensor in given_)


@given(some)
def test_inputs_arrive_bit_by_bit(inputs):
    request = InferRequest("m", tuple(inputs), RequestContext("test"), signature="s")
    signature = Signature(specs(inputs), ())
    body = parse_predict_body(client.encode_predict_request(request), signature, Limits())
    assert (body.signature, body.rows) == ("s", False)
    assert decode_inputs(body, signature, Limits()) == tuple(inputs)


@given(some)
def test_outputs_arrive_bit_by_bit(outputs):
    # Only under names that end so are bytes that are no text carried.
    outputs = [Tensor(f"{each.name}_bytes", each.datatype, each.shape, each.data) for each in outputs]
    body = encode_predict_response(InferResponse("m", "1", tuple(outputs)), rows=False)
    document = client.decode_document(body)
    assert client.decode_outputs(document, Signature((), specs(outputs))) == tuple(outputs)


@given(tensors(datatypes=CARRIED).filter(loses_sizes))
def test_an_empty_tensor_that_would_lose_sizes_is_refused(tensor):
    with pytest.raises(Unsupported, match="loses its last sizes"):
        client.encode_predict_request(InferRequest("m", (tensor,), RequestContext("test")))


@pytest.mark.parametrize("datatype", NO_JSON_FORM)
def test_a_datatype_without_json_form_is_refused(datatype):
    tensor = Tensor("x", datatype, (1,), bytes(datatype.itemsize))
    with pytest.raises(Unsupported, match="use gRPC"):
        client.encode_predict_request(InferRequest("m", (tensor,), RequestContext("test")))


def test_an_empty_answer_gets_its_sizes_from_the_signature():
    def decode(*shape):
        return client.decode_outputs({"outputs": []}, Signature((), (TensorSpec("y", Datatype.FP32, shape),)))

    assert decode(-1, 3)[0].shape == (0, 3)
    with pytest.raises(BackendError, match="loses its last sizes"):
        decode(-1, -1)


TWO = Signature((), (TensorSpec("a", Datatype.FP32, (-1,)), TensorSpec("b", Datatype.INT8, (-1,))))


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"outputs": [1]}, {"outputs": {"a": [1]}}, {"outputs": {"a": [1], "b": [300]}}, {"predictions": []}],
)
def test_an_answer_that_breaks_the_protocol_is_the_backends_fault(document):
    with pytest.raises(BackendError, match="breaks the protocol"):
        client.decode_outputs(document, TWO)


def test_an_answer_with_raw_bytes_is_the_backends_fault():
    with pytest.raises(BackendError, match="UTF-8"):
        client.decode_document(b'{"outputs": "\xff"}')


@given(names)
def test_names_are_quoted_in_paths(name):
    path = client.model_path(name, "7")
    assert path.isascii()
    assert path.count("/") == 5
    assert path.endswith("/versions/7")


@given(st.binary(max_size=50))
def test_garbage_never_raises_anything_but_our_errors(data):
    try:
        client.decode_outputs(client.decode_document(data), TWO)
    except GatewayError as error:
        assert error.message


def test_a_request_is_json():
    def encode(array):
        return client.encode_predict_request(
            InferRequest("m", (Tensor.from_numpy("x", array),), RequestContext("test"))
        )

    assert encode(np.array([-0.0, 1e-45, 0.1], np.float32)) == b'{"signature_name":"","inputs":{"x":[-0.0,1e-45,0.1]}}'
    assert json.loads(encode(np.array([b"a", b"\xff"], object)))["inputs"] == {"x": ["a", {"b64": "/w=="}]}
