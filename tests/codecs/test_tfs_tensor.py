import numpy as np
import pytest
from hypothesis import given
from support.strategies import tensors

from gateway.codecs.tfs_tensor import decode_tensor_proto, fill_tensor_proto
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import split_bytes
from gateway.protos.loader import message_class

TensorProto = message_class("tensorflow.TensorProto")


def proto(dtype, shape, **fields):
    message = TensorProto(dtype=dtype, **fields)
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


@given(tensors())
def test_every_datatype_round_trips(tensor):
    message = TensorProto()
    fill_tensor_proto(message, tensor)
    assert decode_tensor_proto(tensor.name, TensorProto.FromString(message.SerializeToString()), "x") == tensor


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (proto(1, [3], float_val=[1, 2]), [1, 2, 2]),
        (proto(1, [3], float_val=[7]), [7, 7, 7]),
        (proto(4, [2], int_val=[255, 0]), [255, 0]),
        (proto(10, [2], bool_val=[True]), [True, True]),
        (proto(23, [1], uint64_val=[2**64 - 1]), [2**64 - 1]),
        (proto(19, [2], half_val=[0x3C00, 0x4000]), [1.0, 2.0]),
    ],
)
def test_typed_values_are_read_and_the_last_repeats(message, values):
    assert decode_tensor_proto("x", message, "x").to_numpy().tolist() == values


def test_repeated_strings():
    tensor = decode_tensor_proto("x", proto(7, [3], string_val=[b"a", b"b"]), "x")
    assert split_bytes(tensor.data, "x") == [b"a", b"b", b"b"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (proto(8, [1]), "datatype 8 is not supported"),
        (proto(1, [2], float_val=[1, 2, 3]), "3 values for shape"),
        (proto(1, [2]), "0 values for shape"),
        (proto(1, [2], tensor_content=b"\0" * 7), "needs 8 bytes, got 7"),
        (proto(6, [1], int_val=[128]), "out of range for INT8"),
        (proto(1, [-1], float_val=[1]), "negative"),
    ],
)
def test_bad_tensors_name_the_field(message, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode_tensor_proto("x", message, "inputs['x']")


def test_an_unknown_rank_is_refused():
    message = TensorProto(dtype=1, float_val=[1])
    message.tensor_shape.unknown_rank = True
    with pytest.raises(InvalidRequest, match="rank"):
        decode_tensor_proto("x", message, "x")


def test_scalars_have_a_shape_on_the_wire():
    message = TensorProto()
    fill_tensor_proto(message, decode_tensor_proto("x", proto(1, [], float_val=[1]), "x"))
    assert message.HasField("tensor_shape")
    assert np.frombuffer(message.tensor_content, "<f4").tolist() == [1]
