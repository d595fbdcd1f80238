"""The 14 datatypes of the Open Inference Protocol.

Source: open-inference-protocol, specification/protocol/inference_rest.md, "Tensor Data Types".
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from gateway.core.errors import InvalidRequest


class Datatype(StrEnum):
    """Element type of a tensor; the value is the name on the wire."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    @property
    def itemsize(self) -> int:
        """Bytes an element takes; 0 for BYTES, whose elements differ in length."""
        return ITEMSIZE[self]


ITEMSIZE: dict[Datatype, int] = {
    Datatype.BOOL: 1,
    Datatype.UINT8: 1,
    Datatype.UINT16: 2,
    Datatype.UINT32: 4,
    Datatype.UINT64: 8,
    Datatype.INT8: 1,
    Datatype.INT16: 2,
    Datatype.INT32: 4,
    Datatype.INT64: 8,
    Datatype.FP16: 2,
    Datatype.BF16: 2,
    Datatype.FP32: 4,
    Datatype.FP64: 8,
    Datatype.BYTES: 0,
}

# numpy has no bfloat16: a BF16 tensor is seen as its raw bit patterns.
NUMPY_DTYPE: dict[Datatype, np.dtype[np.generic]] = {
    Datatype.BOOL: np.dtype("?"),
    Datatype.UINT8: np.dtype("<u1"),
    Datatype.UINT16: np.dtype("<u2"),
    Datatype.UINT32: np.dtype("<u4"),
    Datatype.UINT64: np.dtype("<u8"),
    Datatype.INT8: np.dtype("<i1"),
    Datatype.INT16: np.dtype("<i2"),
    Datatype.INT32: np.dtype("<i4"),
    Datatype.INT64: np.dtype("<i8"),
    Datatype.FP16: np.dtype("<f2"),
    Datatype.BF16: np.dtype("<u2"),
    Datatype.FP32: np.dtype("<f4"),
    Datatype.FP64: np.dtype("<f8"),
}

_BY_DTYPE: dict[np.dtype[np.generic], Datatype] = {
    dtype: datatype for datatype, dtype in NUMPY_DTYPE.items() if datatype is not Datatype.BF16
}
_BY_NAME: dict[str, Datatype] = {datatype.value: datatype for datatype in Datatype}


def parse_datatype(name: object, field: str) -> Datatype:
    """The datatype called ``name``.

    Raises:
        InvalidRequest: no such datatype; the message names ``field`` and lists the valid ones.
    """
    datatype = _BY_NAME.get(name) if isinstance(name, str) else None
    if datatype is None:
        raise InvalidRequest(f"{field}: unknown datatype {name!r}; one of {', '.join(_BY_NAME)} is expected")
    return datatype


def datatype_of(array: npt.NDArray[np.generic]) -> Datatype:
    """The datatype that carries ``array``: object, str and bytes arrays are BYTES.

    Raises:
        InvalidRequest: the protocol has no such element type (complex, datetime, …).
    """
    if array.dtype.kind in "OSU":
        return Datatype.BYTES
    datatype = _BY_DTYPE.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        raise InvalidRequest(f"no datatype carries numpy elements of type {array.dtype}")
    return datatype
