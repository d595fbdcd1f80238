"""``tensorflow.TensorProto`` ↔ Tensor.

Numbers travel in ``tensor_content``, which is Tensor's own raw form; every typed ``*_val`` form is read as well,
with TensorFlow's rule that the last value repeats until the shape is full.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Tensor, check_data, checked_shape, element_count, join_bytes, split_bytes

# TensorFlow's DataType numbers, and the typed field that carries each.
DT: dict[Datatype, int] = {
    Datatype.FP32: 1,
    Datatype.FP64: 2,
    Datatype.INT32: 3,
    Datatype.UINT8: 4,
    Datatype.INT16: 5,
    Datatype.INT8: 6,
    Datatype.BYTES: 7,
    Datatype.INT64: 9,
    Datatype.BOOL: 10,
    Datatype.BF16: 14,
    Datatype.UINT16: 17,
    Datatype.FP16: 19,
    Datatype.UINT32: 22,
    Datatype.UINT64: 23,
}
_DATATYPE = {number: datatype for datatype, number in DT.items()}
_VALUES: dict[Datatype, str] = {
    Datatype.FP32: "float_val",
    Datatype.FP64: "double_val",
    Datatype.INT32: "int_val",
    Datatype.UINT8: "int_val",
    Datatype.INT16: "int_val",
    Datatype.INT8: "int_val",
    Datatype.UINT16: "int_val",
    Datatype.BYTES: "string_val",
    Datatype.INT64: "int64_val",
    Datatype.BOOL: "bool_val",
    Datatype.FP16: "half_val",
    Datatype.BF16: "half_val",
    Datatype.UINT32: "uint32_val",
    Datatype.UINT64: "uint64_val",
}


def datatype_from_number(number: int, field: str) -> Datatype:
    """The datatype that TensorFlow numbers ``number``.

    Raises:
        InvalidRequest: none of the 14 has that number.
    """
    datatype = _DATATYPE.get(number)
    if datatype is None:
        raise InvalidRequest(f"{field}: TensorFlow datatype {number} is not supported")
    return datatype


def fill_tensor_proto(message: Any, tensor: Tensor) -> None:
    """Write ``tensor`` into the empty TensorProto ``message``."""
    message.dtype = DT[tensor.datatype]
    # The shape must be present even for a scalar: a missing one means "unknown".
    message.tensor_shape.SetInParent()
    for size in tensor.shape:
        message.tensor_shape.dim.add(size=size)
    if tensor.datatype is Datatype.BYTES:
        message.string_val.extend(split_bytes(tensor.data, tensor.name))
    else:
        message.tensor_content = bytes(tensor.data)


def decode_tensor_proto(name: str, message: Any, field: str) -> Tensor:
    """The tensor in the TensorProto ``message``.

    Raises:
        InvalidRequest: an unknown datatype, an unknown rank, or contents that do not fit the shape.
    """
    datatype = datatype_from_number(message.dtype, f"{field}.dtype")
    if message.tensor_shape.unknown_rank:
        raise InvalidRequest(f"{field}.tensor_shape: the rank must be known")
    shape = checked_shape([dim.size for dim in message.tensor_shape.dim], field)
    if datatype is not Datatype.BYTES and message.tensor_content:
        return check_data(Tensor(name, datatype, shape, message.tensor_content), field)
    values = getattr(message, _VALUES[datatype])
    count = element_count(shape)
    if len(values) > count or (count and not values):
        raise InvalidRequest(f"{field}.{_VALUES[datatype]}: {len(values)} values for shape {list(shape)}")
    if datatype is Datatype.BYTES:
        elements = list(values)
        return Tensor(name, datatype, shape, join_bytes(elements + elements[-1:] * (count - len(elements))))
    return Tensor(name, datatype, shape, _repeat_last(_to_array(values, datatype, field), count).tobytes())


def _to_array(values: Any, datatype: Datatype, field: str) -> npt.NDArray[np.generic]:
    # half_val holds bit patterns, not numbers.
    dtype = np.dtype("<u2") if datatype is Datatype.FP16 else NUMPY_DTYPE[datatype]
    try:
        return np.array(values, dtype=dtype)
    except OverflowError:
        raise InvalidRequest(f"{field}.{_VALUES[datatype]}: a value is out of range for {datatype}") from None


def _repeat_last(array: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.generic]:
    return np.pad(array, (0, count - array.size), mode="edge") if array.size < count else array
