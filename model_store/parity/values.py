"""Arrays as the datatypes they carry: how far apart their elements are, and how large the largest is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from model_store.parity.tolerance import FLOATS

Array = npt.NDArray[np.generic]
Tensors = Mapping[str, Array]
Floats = npt.NDArray[np.float64]


def carries(array: Array, datatype: Datatype) -> bool:
    """Whether the elements of ``array`` are of ``datatype``; BF16 comes as bit patterns in uint16."""
    if datatype is Datatype.BYTES:
        return array.dtype.kind in "OSU"
    return array.dtype == NUMPY_DTYPE[datatype]


def as_floats(array: Array, datatype: Datatype) -> Floats:
    """The numbers of a float tensor, exactly."""
    if datatype is Datatype.BF16:  # a BF16 number is the upper half of an FP32
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    return array.astype(np.float64)


def as_bf16(values: Floats) -> npt.NDArray[np.uint16]:
    """Bit patterns of ``values`` as BF16, rounded towards zero."""
    return (values.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def raw_elements(array: Array) -> list[bytes]:
    """The elements of a BYTES tensor, row by row; text as UTF-8."""
    return [element.encode() if isinstance(element, str) else bytes(element) for element in array.reshape(-1).tolist()]


def distances(first: Array, second: Array, datatype: Datatype) -> Array:
    """How far each element is from its counterpart: a float, an exact unsigned integer, or whether they are unequal."""
    if datatype in FLOATS:
        return _float_distances(as_floats(first, datatype), as_floats(second, datatype))
    if datatype is Datatype.BYTES:
        unequal = [a != b for a, b in zip(raw_elements(first), raw_elements(second), strict=True)]
        return np.array(unequal, np.uint64).reshape(first.shape)
    # Modulo 2⁶⁴ the difference of two integers is exact, even between the ends of INT64.
    a, b = first.astype(np.uint64), second.astype(np.uint64)
    return np.where(first > second, a - b, b - a)  # type: ignore[operator]


def magnitude(array: Array, datatype: Datatype) -> float:
    """Largest finite magnitude; 0 when there is none, 1 for what has no size (BOOL, BYTES)."""
    if datatype in FLOATS:
        values = np.abs(as_floats(array, datatype))
        return float(values.max(where=np.isfinite(values), initial=0.0))
    if datatype in (Datatype.BOOL, Datatype.BYTES):
        return 1.0
    return float(max(abs(int(array.min())), abs(int(array.max())))) if array.size else 0.0


def _float_distances(first: Floats, second: Floats) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(first - second)
    apart[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0  # equal infinities, NaN on both sides
    apart[np.isnan(apart)] = np.inf  # NaN on one side
    return apart
