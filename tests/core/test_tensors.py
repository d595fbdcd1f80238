import numpy as np
import pytest
from hypothesis import given
from support.strategies import tensors

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Tensor, check_data, checked_shape, join_bytes, split_bytes


@given(tensors())
def test_numpy_round_trip_keeps_every_bit(tensor):
    array = tensor.to_numpy()
    assert array.shape == tensor.shape
    again = Tensor.from_numpy(tensor.name, array)
    assert bytes(again.data) == bytes(tensor.data)
    if tensor.datatype is not Datatype.BF16:  # numpy sees bfloat16 as its uint16 patterns
        assert again == tensor


@given(tensors())
def test_every_generated_tensor_passes_the_data_check(tensor):
    assert check_data(tensor, "inputs[0]") is tensor


@given(tensors())
def test_a_missing_or_extra_byte_is_refused(tensor):
    longer = Tensor(tensor.name, tensor.datatype, tensor.shape, bytes(tensor.data) + b"\x01")
    with pytest.raises(InvalidRequest, match=r"inputs\[0\]"):
        check_data(longer, "inputs[0]")
    if tensor.nbytes:
        shorter = Tensor(tensor.name, tensor.datatype, tensor.shape, bytes(tensor.data)[:-1])
        with pytest.raises(InvalidRequest, match=r"inputs\[0\]"):
            check_data(shorter, "inputs[0]")


def test_numeric_view_shares_the_bytes():
    data = bytearray(np.arange(4, dtype="<f4").tobytes())
    array = Tensor("x", Datatype.FP32, (4,), data).to_numpy()
    data[0:4] = np.float32(7).tobytes()
    assert array[0] == 7


def test_big_endian_arrays_become_little_endian():
    tensor = Tensor.from_numpy("x", np.array([1, 2], dtype=">i4"))
    assert tensor.datatype is Datatype.INT32
    assert tensor.data == b"\x01\0\0\0\x02\0\0\0"


def test_fortran_order_becomes_row_major():
    array = np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3))
    assert Tensor.from_numpy("x", array).to_numpy().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_strings_become_utf8_elements():
    tensor = Tensor.from_numpy("x", np.array([["é", ""]]))
    assert tensor.datatype is Datatype.BYTES
    assert tensor.shape == (1, 2)
    assert split_bytes(tensor.data, "x") == ["é".encode(), b""]


def test_complex_numbers_have_no_datatype():
    with pytest.raises(InvalidRequest, match="complex64"):
        Tensor.from_numpy("x", np.zeros(1, np.complex64))


@pytest.mark.parametrize("data", [b"\x01\0\0", b"\x05\0\0\0abc", b"\xff\xff\xff\xff"])
def test_broken_length_prefixes_are_refused(data):
    with pytest.raises(InvalidRequest, match="field"):
        split_bytes(data, "field")


def test_bool_bytes_other_than_0_and_1_are_refused():
    with pytest.raises(InvalidRequest, match="BOOL"):
        check_data(Tensor("x", Datatype.BOOL, (2,), b"\x01\x02"), "inputs[0]")


@pytest.mark.parametrize(
    ("shape", "problem"),
    [([1.0], "integers"), ([True], "integers"), ([-1], "negative"), ([2**32, 2**32], "multiply"), (["1"], "integers")],
)
def test_bad_shapes_are_refused(shape, problem):
    with pytest.raises(InvalidRequest, match=problem):
        checked_shape(shape, "inputs[0]")


def test_a_zero_does_not_hide_an_overflow():
    with pytest.raises(InvalidRequest, match="multiply"):
        checked_shape([0, 2**40, 2**40], "inputs[0]")


def test_join_and_split_are_inverse():
    elements = [b"", b"a", b"\xff\x00", b"x" * 300]
    assert split_bytes(join_bytes(elements), "x") == elements
