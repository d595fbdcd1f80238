"""A tensor as the wire carries it: little-endian, row-major bytes that nobody parses on the way through."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import ITEMSIZE, NUMPY_DTYPE, Datatype, datatype_of
from gateway.core.errors import InvalidRequest

Buffer = bytes | bytearray | memoryview

# The product of the dimensions must fit the protocol's int64.
MAX_ELEMENTS = 2**63 - 1
_LENGTH = struct.Struct("<I")


@dataclass(slots=True)  # a frozen one takes four times as long to make, and each request makes a few
class Tensor:
    """One named tensor, which does not change.

    Attributes:
        name: unique among the inputs (or outputs) of a request.
        datatype: element type.
        shape: sizes of the dimensions, all ≥ 0; ``()`` is a scalar.
        data: the elements, little-endian and row-major. A BYTES element is a 4-byte
            little-endian length followed by that many bytes: OIP's raw form.
    """

    name: Final[str]
    datatype: Final[Datatype]
    shape: Final[tuple[int, ...]]
    data: Final[Buffer]

    @property
    def nbytes(self) -> int:
        """Length of ``data`` in bytes."""
        return self.data.nbytes if isinstance(self.data, memoryview) else len(self.data)

    def to_numpy(self) -> npt.NDArray[np.generic]:
        """The tensor as an array of ``shape``; a read-only view wherever the datatype allows one.

        BF16 gives its bit patterns as uint16; BYTES gives an object array of ``bytes``.
        """
        if self.datatype is Datatype.BYTES:
            flat = np.empty(element_count(self.shape), dtype=object)
            flat[:] = split_bytes(self.data, self.name)
            return flat.reshape(self.shape)
        array: npt.NDArray[np.generic] = np.frombuffer(self.data, dtype=NUMPY_DTYPE[self.datatype])
        return array.reshape(self.shape)

    @classmethod
    def from_numpy(cls, name: str, array: npt.NDArray[np.generic]) -> Tensor:
        """The tensor that carries ``array``; str elements become UTF-8.

        Raises:
            InvalidRequest: the protocol has no datatype for the array's elements.
        """
        datatype = datatype_of(array)
        if datatype is Datatype.BYTES:
            return cls(name, datatype, array.shape, join_bytes(array.ravel().tolist()))
        return cls(name, datatype, array.shape, array.astype(NUMPY_DTYPE[datatype], order="C", copy=False).tobytes())


def total_bytes(tensors: Iterable[Tensor]) -> int:
    """Length of the data of all ``tensors`` together, in bytes."""
    return sum([tensor.nbytes for tensor in tensors])  # a list: twice as fast as a generator for the few there are


def element_count(shape: Sequence[int]) -> int:
    """Number of elements of a tensor of ``shape`` (1 for a scalar)."""
    return math.prod(shape)


def checked_shape(shape: Iterable[object], field: str) -> tuple[int, ...]:
    """``shape`` as a tuple of sizes.

    Raises:
        InvalidRequest: a size is no integer or negative, or the product overflows int64.
    """
    sizes: list[int] = []
    for size in shape:
        if type(size) is not int:
            raise InvalidRequest(f"{field}: shape must hold integers, got {size!r}")
        if size < 0:
            raise InvalidRequest(f"{field}: shape must not hold negative sizes, got {size}")
        sizes.append(size)
    # A zero hides an overflow of the other sizes, so they are multiplied without it.
    if math.prod(size for size in sizes if size) > MAX_ELEMENTS:
        raise InvalidRequest(f"{field}: the sizes in shape multiply past 2^63-1")
    return tuple(sizes)


def check_data(tensor: Tensor, field: str) -> Tensor:
    """``tensor`` itself, once its bytes are known to be exactly what its shape and datatype need.

    Raises:
        InvalidRequest: too few or too many bytes, or broken length prefixes of BYTES.
    """
    count = element_count(tensor.shape)
    if tensor.datatype is Datatype.BYTES:
        found = count_bytes_elements(tensor.data, field)
        if found != count:
            raise InvalidRequest(f"{field}: shape {list(tensor.shape)} needs {count} elements, got {found}")
    elif count * ITEMSIZE[tensor.datatype] != tensor.nbytes:
        raise InvalidRequest(
            f"{field}: {tensor.datatype} of shape {list(tensor.shape)} needs "
            f"{count * ITEMSIZE[tensor.datatype]} bytes, got {tensor.nbytes}"
        )
    elif tensor.datatype is Datatype.BOOL and count and max(tensor.data) > 1:
        raise InvalidRequest(f"{field}: a BOOL element must be the byte 0 or 1")
    return tensor


def join_bytes(elements: Iterable[bytes | str]) -> bytes:
    """BYTES elements in their raw form: each one's length (4 bytes, little-endian), then its bytes."""
    parts: list[bytes] = []
    for element in elements:
        raw = element.encode() if isinstance(element, str) else element
        parts.append(_LENGTH.pack(len(raw)))
        parts.append(raw)
    return b"".join(parts)


def split_bytes(data: Buffer, field: str) -> list[bytes]:
    """The elements of a raw BYTES tensor.

    Raises:
        InvalidRequest: a length prefix is cut short or points past the end.
    """
    return [bytes(data[start:end]) for start, end in _bytes_spans(data, field)]


def count_bytes_elements(data: Buffer, field: str) -> int:
    """How many elements a raw BYTES tensor holds.

    Raises:
        InvalidRequest: a length prefix is cut short or points past the end.
    """
    return sum(1 for _ in _bytes_spans(data, field))


def bytes_ends(data: Buffer, field: str) -> list[int]:
    """Where each element of a raw BYTES tensor ends, in bytes from its start; raises as ``split_bytes``."""
    return [end for _, end in _bytes_spans(data, field)]


def _bytes_spans(data: Buffer, field: str) -> Iterable[tuple[int, int]]:
    position, end = 0, len(data)
    while position < end:
        start = position + _LENGTH.size
        if start > end:
            raise InvalidRequest(f"{field}: the last BYTES length prefix is cut short")
        (length,) = _LENGTH.unpack_from(data, position)
        position = start + length
        if position > end:
            raise InvalidRequest(f"{field}: a BYTES element of {length} bytes points past the end of the data")
        yield start, position
