import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import tensors

from gateway.codecs.tfs_tensor import DT, decode_tensor_proto, encode_tensor_proto
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.tensors import Tensor, element_count, split_bytes
from gateway.protos.loader import message_class

TensorProto = message_class("tensorflow.TensorProto")


def proto(dtype, shape, **fields):
    message = TensorProto(dtype=dtype, **fields)
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


def encoded(tensor, *, typed):
    return TensorProto.FromString(b"".join(encode_tensor_proto(tensor, typed=typed)))


@given(tensors(), st.booleans())
def test_every_datatype_round_trips_bit_by_bit_in_both_forms(tensor, typed):
    assert decode_tensor_proto(tensor.name, encoded(tensor, typed=typed), "x") == tensor


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


@given(tensors(), st.integers(1, 3))
def test_the_last_value_of_every_datatype_repeats(tensor, more):
    message = encoded(Tensor("x", tensor.datatype, (element_count(tensor.shape),), tensor.data), typed=True)
    message.tensor_shape.dim[0].size += more
    decoded = decode_tensor_proto("x", message, "x")
    size = tensor.datatype.itemsize
    if tensor.datatype is Datatype.BYTES:
        elements = split_bytes(tensor.data, "x")
        assert split_bytes(decoded.data, "x") == elements + (elements[-1:] or [b""]) * more
    else:
        assert decoded.data == tensor.data + (tensor.data[-size:] or bytes(size)) * more


@pytest.mark.parametrize("datatype", Datatype)
def test_no_value_at_all_means_zeros(datatype):
    elements = decode_tensor_proto("x", proto(DT[datatype], [2]), "x").to_numpy().tolist()
    assert elements == ([b"", b""] if datatype is Datatype.BYTES else [0, 0])


@pytest.mark.parametrize(
    "message",
    [
        proto(1, [1000], float_val=[1]),
        proto(7, [1000], string_val=[b"a"]),
        proto(7, [5], string_val=[b"a" * 300]),
        proto(1, [2**40]),
        proto(1, [2**40, 2**22]),
    ],
)
def test_a_few_bytes_do_not_grow_past_the_limits(message):
    with pytest.raises(PayloadTooLarge):
        decode_tensor_proto("x", message, "x", Limits(body_bytes=1000))
    with pytest.raises(PayloadTooLarge):
        decode_tensor_proto("x", message, "x", Limits(elements=4))


@given(st.binary(max_size=60))
def test_garbage_never_raises_anything_but_our_errors(data):
    try:
        message = TensorProto.FromString(data)
    except DecodeError:
        return
    try:
        decode_tensor_proto("x", message, "x", Limits(body_bytes=10_000))
    except GatewayError as error:
        assert error.message


@pytest.mark.parametrize("unknown", [b"", b"\x7d\1\2\3\4", b"\x79" + b"\1" * 8, b"\x82\x02\2ab", b"\x80\x02\x81\1"])
def test_fields_that_are_not_known_are_passed_over(unknown):
    message = proto(1, [2], version_number=300, float_val=[1, 2])
    decoded = decode_tensor_proto("x", TensorProto.FromString(unknown + message.SerializeToString()), "x")
    assert decoded.to_numpy().tolist() == [1, 2]


def test_repeated_strings():
    tensor = decode_tensor_proto("x", proto(7, [3], string_val=[b"a", b"b"]), "x")
    assert split_bytes(tensor.data, "x") == [b"a", b"b", b"b"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (proto(8, [1]), "datatype 8 is not supported"),
        (proto(1, [2], float_val=[1, 2, 3]), "3 values for shape"),
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
    message = encoded(decode_tensor_proto("x", proto(1, [], float_val=[1]), "x"), typed=False)
    assert message.HasField("tensor_shape")
    assert np.frombuffer(message.tensor_content, "<f4").tolist() == [1]
