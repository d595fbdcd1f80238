import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.manifests import make_signature

from gateway.codecs.oip_raw import decode_raw_request
from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext

CONTEXT = RequestContext("test", started=0.0)


def decode(body, *shape, datatype="FP32", batched=True, inputs=None):
    first = -1 if batched else 1
    signature = make_signature(inputs or [("x", datatype, shape)], [("y", "FP32", (first, 2))])
    request, form = decode_raw_request(body, signature, "m", "3", CONTEXT)
    assert form.is_binary("any")
    assert (request.model, request.version) == ("m", "3")
    (tensor,) = request.inputs
    return tensor


@given(st.integers(0, 5))
def test_the_size_gives_the_open_dimension(rows):
    array = np.arange(rows * 6, dtype=np.float32).reshape(rows, 2, 3)
    tensor = decode(array.tobytes(), -1, 2, 3)
    assert (tensor.name, tensor.to_numpy().tolist()) == ("x", array.tolist())


def test_the_batch_is_one_where_another_dimension_is_open_too():
    assert decode(bytes(24), -1, -1, 2).shape == (1, 3, 2)


def test_a_shape_without_an_open_dimension_is_taken_as_it_is():
    assert decode(bytes(16), 2, 2, batched=False).shape == (2, 2)


def test_the_body_is_not_copied():
    body = bytes(8)
    assert decode(body, -1, 2).data is body


def test_a_bytes_input_is_one_element():
    tensor = decode(b"hello", -1, 1, datatype="BYTES")
    assert (tensor.shape, tensor.to_numpy().tolist()) == ((1, 1), [[b"hello"]])


@pytest.mark.parametrize(
    ("shape", "options", "problem"),
    [
        ((-1, -1, -1), {}, "several open dimensions"),
        ((-1, -1), {"batched": False}, "several open dimensions"),
        ((-1, 3), {}, "needs 0 bytes, got 8"),
        ((3,), {"batched": False}, "needs 12 bytes, got 8"),
        ((-1, 0), {}, "needs 0 bytes, got 8"),
        ((-1, 2), {"datatype": "BYTES"}, "more than one element"),
        ((), {"inputs": [("a", "FP32", (-1,)), ("b", "FP32", (-1,))]}, "the model has 2 inputs"),
    ],
)
def test_what_cannot_be_told_from_the_size_is_refused(shape, options, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode(bytes(8), *shape, **options)
