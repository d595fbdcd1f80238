"""A tensor's JSON ``data`` ↔ its raw bytes, by the rules of the Open Inference Protocol.

``data`` is flat or nested, row-major, and holds exactly the elements that the shape needs. Nothing is cast
silently: 1.0 is no integer, 300 no UINT8, 1e300 no FP32. FP16 and BF16 have no JSON form.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.tensors import Tensor, element_count, join_bytes, split_bytes

_FLOATS = (Datatype.FP32, Datatype.FP64)
_BINARY_ONLY = (Datatype.FP16, Datatype.BF16)


def tensor_from_json(name: str, datatype: Datatype, shape: tuple[int, ...], data: object, field: str) -> Tensor:
    """The tensor whose JSON form is ``data``.

    Raises:
        InvalidRequest: wrong element type, a value out of range, or a count that does not match ``shape``.
    """
    array = array_from_json(data, datatype, f"{field}.data")
    if array.size != element_count(shape) or (array.ndim > 1 and array.shape != shape):
        raise InvalidRequest(
            f"{field}.data: {array.size} elements of shape {list(array.shape)} do not match shape {list(shape)}"
        )
    if datatype is Datatype.BYTES:
        return Tensor(name, datatype, shape, join_bytes(array.ravel().tolist()))
    return Tensor(name, datatype, shape, array.tobytes())


def array_from_json(data: object, datatype: Datatype, field: str) -> npt.NDArray[Any]:
    """Nested lists as an array of their own shape; BYTES give an object array of ``str``.

    Raises:
        InvalidRequest: no list, ragged, or an element that ``datatype`` cannot hold exactly.
    """
    if datatype in _BINARY_ONLY:
        raise InvalidRequest(f"{field}: {datatype} has no JSON form; use the binary form")
    depth = _depth(data)
    if depth == 0:
        raise InvalidRequest(f"{field}: an array is expected, got {type(data).__name__}")
    try:
        elements = msgspec.convert(data, _list_type(datatype, depth))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{field}: {error}") from None
    return _to_array(elements, datatype, field)


def tensor_to_json(tensor: Tensor) -> Any:
    """The flat JSON form of ``tensor``: an array that orjson encodes, or a list of str.

    Raises:
        Unsupported: JSON cannot carry it (FP16, BF16, non-finite numbers, BYTES that are not UTF-8).
    """
    hint = "ask for it in the binary form (parameter binary_data)"
    if tensor.datatype in _BINARY_ONLY:
        raise Unsupported(f"output {tensor.name!r}: {tensor.datatype} has no JSON form; {hint}")
    if tensor.datatype is Datatype.BYTES:
        try:
            return [element.decode("utf-8") for element in split_bytes(tensor.data, tensor.name)]
        except UnicodeDecodeError:
            raise Unsupported(f"output {tensor.name!r}: an element is not valid UTF-8; {hint}") from None
    array = tensor.to_numpy().ravel()
    if tensor.datatype in _FLOATS and not np.isfinite(array).all():
        raise Unsupported(f"output {tensor.name!r}: NaN or Infinity has no JSON form; {hint}")
    return array


def _depth(data: object) -> int:
    depth = 0
    while isinstance(data, list):
        depth += 1
        data = data[0] if data else None
    return depth


@cache
def _list_type(datatype: Datatype, depth: int) -> Any:
    element: Any = int
    if datatype in _FLOATS:
        element = float
    elif datatype is Datatype.BOOL:
        element = bool
    elif datatype is Datatype.BYTES:
        element = str
    for _ in range(depth):
        element = list[element]
    return element


def _to_array(elements: Any, datatype: Datatype, field: str) -> npt.NDArray[Any]:
    dtype = np.dtype(object) if datatype is Datatype.BYTES else NUMPY_DTYPE[datatype]
    try:
        # Ragged rows raise by themselves, except as objects, where they would become a shorter array of lists.
        with np.errstate(over="raise"):
            array = np.array(elements, dtype=dtype)
    except (OverflowError, FloatingPointError):
        raise InvalidRequest(f"{field}: a value is out of range for {datatype}") from None
    except ValueError:
        raise InvalidRequest(f"{field}: rows differ in length") from None
    if datatype is Datatype.BYTES and any(isinstance(element, list) for element in array.ravel().tolist()):
        raise InvalidRequest(f"{field}: rows differ in length")
    return array
