import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import json_tensors

from gateway.codecs.json_data import elements_from_json
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import element_count, split_bytes

# float.fromhex keeps the values readable: the largest FP32, and the least number that rounds past it.
LARGEST, TOO_LARGE = float.fromhex("0x1.fffffep127"), float.fromhex("0x1.ffffffp127")


def nested(tensor):
    if tensor.datatype is Datatype.BYTES:
        elements = np.empty(element_count(tensor.shape), dtype=object)
        elements[:] = [element.decode() for element in split_bytes(tensor.data, "x")]
        return elements.reshape(tensor.shape).tolist()
    return tensor.to_numpy().tolist()


@given(json_tensors().filter(lambda tensor: tensor.shape))
def test_lists_of_any_shape_become_the_tensor_they_came_from(tensor):
    shape, raw = elements_from_json(nested(tensor), tensor.datatype, "x")
    assert raw == bytes(tensor.data)
    assert shape == tensor.shape or 0 in tensor.shape


@given(st.lists(st.floats(), min_size=1))
def test_floats_are_rounded_as_ieee_says_and_those_out_of_range_refused(values):
    with np.errstate(over="ignore"):
        rounded = np.array(values).astype(np.float32)
    if (np.isinf(rounded) & ~np.isinf(values)).any():
        with pytest.raises(InvalidRequest, match=r"^x: a value is out of range for FP32$"):
            elements_from_json(values, Datatype.FP32, "x")
    else:
        found = np.frombuffer(elements_from_json(values, Datatype.FP32, "x")[1], "<f4")
        np.testing.assert_array_equal(found, rounded)


def test_the_largest_fp32_is_in_range_and_the_next_double_past_half_a_step_is_not():
    assert elements_from_json([LARGEST], Datatype.FP32, "x")[1] == struct.pack("<f", LARGEST)
    with pytest.raises(InvalidRequest):
        elements_from_json([TOO_LARGE], Datatype.FP32, "x")


@pytest.mark.parametrize("datatype", [one for one in NUMPY_DTYPE if one.value.startswith(("INT", "UINT"))])
def test_integers_fill_their_whole_range_and_no_more(datatype):
    limits = np.iinfo(NUMPY_DTYPE[datatype])
    least, most = int(limits.min), int(limits.max)
    assert np.frombuffer(elements_from_json([least, most], datatype, "x")[1], NUMPY_DTYPE[datatype]).tolist() == [
        least,
        most,
    ]
    for value in (least - 1, most + 1):
        with pytest.raises(InvalidRequest, match=f"^x: a value is out of range for {datatype}$"):
            elements_from_json([value], datatype, "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[1], [2, 3]], "x: rows differ in length"),
        ([[], [1]], "x: rows differ in length"),
        ([[[1]], [[2], [3]]], "x: rows differ in length"),
        ([1, [2]], "x: Expected `float`, got `array` - at `$[1]`"),
        ([[1], 2], "x: Expected `array`, got `int` - at `$[1]`"),
        ([True], "x: Expected `float`, got `bool` - at `$[0]`"),
        ([None], "x: Expected `float`, got `null` - at `$[0]`"),
        (["1"], "x: Expected `float`, got `str` - at `$[0]`"),
        ({"a": 1}, "x: an array is expected, got dict"),
        (1.0, "x: an array is expected, got float"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_with_its_place(data, message):
    with pytest.raises(InvalidRequest) as caught:
        elements_from_json(data, Datatype.FP32, "x")
    assert caught.value.message == message


def test_more_dimensions_than_numpy_has_are_no_problem():
    data = 7
    for _ in range(90):
        data = [data]
    assert elements_from_json(data, Datatype.INT8, "x") == ((1,) * 90, b"\x07")
