"""``tensorflow.TensorProto`` ↔ Tensor.

Requests carry numbers in ``tensor_content``, which is Tensor's own raw form. Answers carry them in the typed ``*_val``
fields, as TensorFlow Serving's do: its example clients read ``outputs["scores"].float_val``. Both forms are read, with
TensorFlow's rule that the last value repeats until the shape is full (and that no value at all means zeros).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gateway.codecs.packed import packed_bytes, varint
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.tensors import Buffer, Tensor, check_data, checked_shape, element_count, join_bytes, split_bytes
from gateway.protos.loader import message_class

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

_TensorProto = message_class("tensorflow.TensorProto")

# Tags. Of these datatypes the packed field holds the very bytes of the raw form: they pass bit by bit, unparsed.
_PACKED_AS_RAW = {Datatype.FP32: b"\x2a", Datatype.FP64: b"\x32", Datatype.BOOL: b"\x5a"}
_CONTENT = b"\x22"
_PATTERNS = (Datatype.FP16, Datatype.BF16)  # half_val holds bit patterns, not numbers
_DEFAULT_LIMITS = Limits()


def datatype_from_number(number: int, field: str) -> Datatype:
    """The datatype that TensorFlow numbers ``number``.

    Raises:
        InvalidRequest: none of the 14 has that number.
    """
    datatype = _DATATYPE.get(number)
    if datatype is None:
        raise InvalidRequest(f"{field}: TensorFlow datatype {number} is not supported")
    return datatype


def encode_tensor_proto(tensor: Tensor, *, typed: bool) -> list[Buffer]:
    """The serialised TensorProto for ``tensor`` in pieces, its own bytes among them wherever they go as they are.

    ``typed`` puts numbers into the field of their datatype, else they go into ``tensor_content``.
    """
    message = _TensorProto(dtype=DT[tensor.datatype])
    # The shape must be present even for a scalar: a missing one means "unknown".
    message.tensor_shape.SetInParent()
    for size in tensor.shape:
        message.tensor_shape.dim.add(size=size)
    datatype = tensor.datatype
    tag = _PACKED_AS_RAW.get(datatype) if typed else _CONTENT
    if datatype is Datatype.BYTES:
        message.string_val.extend(split_bytes(tensor.data, tensor.name))
    elif tag is None:
        dtype = np.dtype("<u2") if datatype in _PATTERNS else NUMPY_DTYPE[datatype]
        getattr(message, _VALUES[datatype]).extend(np.frombuffer(tensor.data, dtype).tolist())
    elif tensor.nbytes:
        return [message.SerializeToString(), tag, varint(tensor.nbytes), tensor.data]
    return [message.SerializeToString()]


def decode_tensor_proto(name: str, message: Any, field: str, limits: Limits = _DEFAULT_LIMITS) -> Tensor:
    """The tensor in the TensorProto ``message``.

    Raises:
        InvalidRequest: an unknown datatype, an unknown rank, or contents that do not fit the shape.
        PayloadTooLarge: more elements than ``limits`` allow, or repeated values that grow past its ``body_bytes``.
    """
    datatype = datatype_from_number(message.dtype, f"{field}.dtype")
    if message.tensor_shape.unknown_rank:
        raise InvalidRequest(f"{field}.tensor_shape: the rank must be known")
    shape = checked_shape([dim.size for dim in message.tensor_shape.dim], field)
    count = element_count(shape)
    if count > limits.elements:
        raise PayloadTooLarge(f"{field}: {count} elements are over the limit of {limits.elements}")
    if datatype is not Datatype.BYTES and (content := message.tensor_content):
        return check_data(Tensor(name, datatype, shape, content), field)
    values = getattr(message, _VALUES[datatype])
    missing = count - len(values)
    if missing < 0:
        raise InvalidRequest(f"{field}.{_VALUES[datatype]}: {len(values)} values for shape {list(shape)}")
    # A few bytes may stand for a tensor of any size.
    last = len(values[-1]) + 4 if values and datatype is Datatype.BYTES else datatype.itemsize or 4
    if missing * last > limits.body_bytes:
        raise PayloadTooLarge(f"{field}: repeated values grow past the limit of {limits.body_bytes} bytes")
    if datatype is Datatype.BYTES:
        elements = list(values)
        return Tensor(name, datatype, shape, join_bytes(elements + (elements[-1:] or [b""]) * missing))
    raw = _raw(message, datatype, field)
    if missing:
        raw = bytes(raw) + (bytes(raw[-datatype.itemsize :]) or bytes(datatype.itemsize)) * missing
    return Tensor(name, datatype, shape, raw)


def _raw(message: Any, datatype: Datatype, field: str) -> Buffer:
    """The raw form of the numbers in the typed field."""
    if datatype in _PACKED_AS_RAW:
        return packed_bytes(message, _VALUES[datatype])
    dtype = np.dtype("<u2") if datatype in _PATTERNS else NUMPY_DTYPE[datatype]
    try:
        return np.array(getattr(message, _VALUES[datatype]), dtype=dtype).tobytes()
    except OverflowError:
        raise InvalidRequest(f"{field}.{_VALUES[datatype]}: a value is out of range for {datatype}") from None
