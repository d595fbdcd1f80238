import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.tfs_examples import decode_input, takes_examples
from gateway.codecs.tfs_inference import (
    decode_classification_request,
    decode_multi_request,
    decode_regression_request,
)
from gateway.codecs.tfs_rest_examples import decode_examples
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import split_bytes
from gateway.protos.loader import message_class

Example = message_class("tensorflow.Example")
Y = (TensorSpec("y", Datatype.FP32, (-1,)),)
SERIALISED = Signature((TensorSpec("inputs", Datatype.BYTES, (-1,)),), Y, "classify")
COLUMNS = {
    Datatype.FP32: ([1.5, -0.0], [2.5, float("inf")]),
    Datatype.FP64: ([1.5, 2.0], [2.5, 1.0]),
    Datatype.FP16: ([1.5, 2.0], [2.5, 1.0]),
    Datatype.INT64: ([1, 2], [-(2**63), 2**63 - 1]),
    Datatype.UINT8: ([0, 1], [2, 255]),
    Datatype.BOOL: ([0, 1], [1, 1]),
    Datatype.BYTES: (["a", ""], ["b", "\0"]),
}


def signature(*specs):
    return Signature(tuple(TensorSpec(*spec) for spec in specs), Y)


def decode(document, wanted, limits=Limits(), **options):
    _, message = decode_examples(json.dumps(document).encode(), Limits())
    return decode_input(message, wanted, limits, **options)


@pytest.mark.parametrize("datatype", COLUMNS)
def test_each_example_is_a_row(datatype):
    rows = COLUMNS[datatype]
    (tensor,) = decode({"examples": [{"x": row} for row in rows]}, signature(("x", datatype, (-1, 2))))
    assert (tensor.datatype, tensor.shape) == (datatype, (2, 2))
    wanted = [[value.encode() if isinstance(value, str) else value for value in row] for row in rows]
    assert repr(tensor.to_numpy().tolist()) == repr(np.array(wanted, tensor.to_numpy().dtype).tolist())


def test_a_row_may_be_a_scalar_or_have_one_free_dimension():
    document = {"examples": [{"a": 1, "b": [1, 2, 3, 4]}, {"a": 2, "b": [5, 6, 7, 8]}]}
    a, b = decode(document, signature(("a", Datatype.INT32, (-1,)), ("b", Datatype.INT32, (-1, -1, 2))))
    assert a.to_numpy().tolist() == [1, 2]
    assert b.to_numpy().tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


def test_the_context_counts_for_every_example_and_yields_to_its_own_features():
    document = {"context": {"a": 1, "b": 5}, "examples": [{"a": 2}, {}]}
    a, b = decode(document, signature(("a", Datatype.INT32, (-1,)), ("b", Datatype.INT32, (-1,))))
    assert (a.to_numpy().tolist(), b.to_numpy().tolist()) == ([2, 1], [5, 5])
    (tensor,) = decode(document, SERIALISED)
    first, second = [Example.FromString(each) for each in split_bytes(tensor.data, "inputs")]
    assert first.features.feature["a"].int64_list.value == [2]
    assert second.features.feature["a"].int64_list.value == [1]
    assert second.features.feature["b"].int64_list.value == [5]


@given(st.lists(st.dictionaries(st.text(max_size=3), st.binary(max_size=4), max_size=2), min_size=1, max_size=3))
def test_a_model_for_examples_gets_them_serialised(features):
    message = message_class("tensorflow.serving.Input")()
    for each in features:
        example = message.example_list.examples.add()
        for name, value in each.items():
            example.features.feature[name].bytes_list.value.append(value)
    (tensor,) = decode_input(message, SERIALISED, Limits())
    assert (tensor.name, tensor.datatype, tensor.shape) == ("inputs", Datatype.BYTES, (len(features),))
    parsed = [Example.FromString(each) for each in split_bytes(tensor.data, "inputs")]
    assert parsed == list(message.example_list.examples)


def test_which_models_take_examples():
    taken = TensorSpec("examples", Datatype.BYTES, (-1,))
    assert takes_examples(Signature((taken,), Y, "regress"))
    assert takes_examples(Signature((TensorSpec("inputs", Datatype.BYTES, (-1,)),), Y))
    assert not takes_examples(Signature((taken,), Y))
    assert not takes_examples(Signature((TensorSpec("inputs", Datatype.FP32, (-1,)),), Y, "regress"))
    assert not takes_examples(Signature((taken, taken), Y, "classify"))


def test_a_picture_goes_to_the_models_preprocessing():
    document = {"examples": [{"image": {"b64": "QQ"}}, {"image": "B"}]}
    (tensor,) = decode(document, signature(("x", Datatype.FP32, (-1, 2))), prepares=True)
    assert (tensor.name, tensor.datatype, tensor.shape) == ("image", Datatype.BYTES, (2,))
    assert split_bytes(tensor.data, "image") == [b"A", b"B"]


ROW = signature(("x", Datatype.FP32, (-1, 2)))


@pytest.mark.parametrize(
    ("examples", "wanted", "kind", "problem"),
    [
        ([{"x": [1.0, 2.0]}, {}], ROW, InvalidRequest, r"examples\[1\]\['x'\]: the feature is missing"),
        ([{"x": []}], ROW, InvalidRequest, r"examples\[0\]\['x'\]: FP32 takes a float_list, got nothing"),
        ([{"x": [1, 2]}], ROW, InvalidRequest, r"FP32 takes a float_list, got int64_list"),
        ([{"x": [1.0, 2.0]}, {"x": [1.0]}], ROW, InvalidRequest, r"examples\[1\]\['x'\]: 2 values are expected"),
        ([{"x": 300}], signature(("x", Datatype.UINT8, (-1,))), InvalidRequest, "out of range for UINT8"),
        ([{"x": 1e6}], signature(("x", Datatype.FP16, (-1,))), InvalidRequest, "out of range for FP16"),
        ([{"x": 2}], signature(("x", Datatype.BOOL, (-1,))), InvalidRequest, "BOOL takes 0 and 1"),
        ([{"x": [1, 2, 3]}], signature(("x", Datatype.INT8, (-1, -1, 2))), InvalidRequest, "do not fit a row"),
        ([{"x": 1}], signature(("x", Datatype.INT8, (-1, -1, -1))), Unsupported, "does not tell the sizes"),
        ([{"x": 1}], signature(("x", Datatype.INT8, (2,))), Unsupported, "no batch of rows"),
        ([{"x": 1.0}], signature(("x", Datatype.BF16, (-1,))), Unsupported, "BF16 has no form"),
    ],
)
def test_what_does_not_fit_names_the_example_and_the_feature(examples, wanted, kind, problem):
    with pytest.raises(kind, match=problem):
        decode({"examples": examples}, wanted)


def test_limits_are_kept():
    document = {"examples": [{"x": [1.0, 2.0]}] * 3}
    with pytest.raises(PayloadTooLarge):
        decode(document, ROW, Limits(elements=5))
    with pytest.raises(PayloadTooLarge):
        decode({"context": {"x": [1.0, 2.0]}, "examples": [{}] * 20}, ROW, Limits(body_bytes=100))
    many = {"context": {"x": "a" * 100}, "examples": [{}] * 20}
    with pytest.raises(PayloadTooLarge):
        decode(many, signature(("x", Datatype.BYTES, (-1,))), Limits(body_bytes=1000))
    with pytest.raises(PayloadTooLarge, match="context"):
        decode({"context": {"x": "a" * 100}, "examples": [{}] * 20}, SERIALISED, Limits(body_bytes=1000))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "'examples' is expected"),
        ({"examples": {}}, "list/array"),
        ({"examples": []}, "empty array"),
        ({"examples": [1]}, r"examples\[0\]: Example must be JSON object"),
        ({"examples": [{}], "context": 1}, "context: Example must be"),
        ({"examples": [{"x": None}]}, r"examples\[0\]\['x'\]: element with unexpected"),
        ({"examples": [{"x": [[1]]}]}, "unexpected JSON type list"),
        ({"examples": [{"x": [1, 1.5]}]}, "expecting type: int64_list"),
        ({"examples": [{"x": 2**63}]}, "out of range for int64"),
        ({"examples": [{"x": 1e39}]}, "out of range for FP32"),
        ({"examples": [{"x": {"b64": "!"}}]}, "b64"),
        ({"examples": [{"x": {"b64": "QQ==", "c": 1}}]}, "only key"),
        ({"examples": [{}], "signature_name": 3}, "signature_name"),
    ],
)
def test_bad_bodies_name_the_field(document, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode_examples(json.dumps(document).encode(), Limits())


def test_the_tokens_of_infinity_are_taken():
    (tensor,) = decode({"examples": [{"x": [float("nan"), float("-inf")]}]}, ROW)
    assert repr(tensor.to_numpy().tolist()) == "[[nan, -inf]]"


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_but_our_errors(data):
    for call in (decode_classification_request, decode_regression_request, decode_multi_request):
        try:
            call(data)
        except GatewayError as error:
            assert error.message
