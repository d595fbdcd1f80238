"""The JSON documents of the Open Inference Protocol v2, and the tensors in them or behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from gateway.codecs.json_data import tensor_from_json
from gateway.codecs.json_numbers import TensorDocumentDecoder
from gateway.codecs.shared_memory import REGION, SharedMemory, parse_window
from gateway.core.datatypes import parse_datatype
from gateway.core.errors import InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.tensors import Tensor, check_data, checked_shape, element_count

T = TypeVar("T")


class OutputJSON(msgspec.Struct):
    """An output that is asked for."""

    name: str
    given: dict[str, Any] | None = msgspec.field(default=None, name="parameters")

    @property
    def parameters(self) -> dict[str, Any]:
        """What is said beside it."""
        return self.given or {}  # null stands for none in what KServe and MLServer write


class TensorJSON(OutputJSON, kw_only=True):
    """A tensor, with its elements or without."""

    shape: list[Any]
    datatype: str
    data: Any = msgspec.UNSET


class RequestJSON(msgspec.Struct, Generic[T]):
    """A request with inputs of a kind."""

    inputs: list[T]
    outputs: list[OutputJSON] | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


class ResponseJSON(msgspec.Struct, Generic[T]):
    """A response with outputs of a kind."""

    model_name: str
    outputs: list[T]
    model_version: str | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


REQUEST: TensorDocumentDecoder[RequestJSON[TensorJSON]] = TensorDocumentDecoder(RequestJSON, TensorJSON)
RESPONSE: TensorDocumentDecoder[ResponseJSON[TensorJSON]] = TensorDocumentDecoder(ResponseJSON, TensorJSON)


def decode_tensors(
    documents: Sequence[TensorJSON], blobs: memoryview, kind: str, limits: Limits, memory: SharedMemory
) -> tuple[Tensor, ...]:
    """The tensors of ``documents``, whose binary data are the ``blobs``; ``kind`` is what errors call them.

    Raises:
        InvalidRequest: one breaks the protocol; names the field.
        PayloadTooLarge: over one of ``limits``.
        GatewayError: as ``memory`` raises.
    """
    tensors: list[Tensor] = []
    offset = shared = 0
    for index, document in enumerate(documents):
        field = f"{kind}[{index}] {document.name!r}"
        datatype = parse_datatype(document.datatype, f"{field}.datatype")
        shape = checked_shape(document.shape, field)
        if element_count(shape) > limits.elements:
            raise PayloadTooLarge(f"{field}: {element_count(shape)} elements are over the limit of {limits.elements}")
        size = document.parameters.get("binary_data_size")
        if window := parse_window(document.parameters, field):
            if size is not None or document.data is not msgspec.UNSET:
                raise InvalidRequest(f"{field}: both data and parameters.{REGION} are given")
            shared += window.byte_size
            if shared > limits.body_bytes:
                raise PayloadTooLarge(
                    f"{field}: {shared} bytes in shared memory are over the limit of {limits.body_bytes}"
                )
            tensors.append(check_data(Tensor(document.name, datatype, shape, memory.read(window, field)), field))
            continue
        if size is None:
            if document.data is msgspec.UNSET:
                raise InvalidRequest(f"{field}: neither data nor parameters.binary_data_size is given")
            tensors.append(tensor_from_json(document.name, datatype, shape, document.data, field))
            continue
        if document.data is not msgspec.UNSET:
            raise InvalidRequest(f"{field}: both data and parameters.binary_data_size are given")
        if type(size) is not int or size < 0:
            raise InvalidRequest(f"{field}.parameters.binary_data_size: a number of bytes is expected, got {size!r}")
        if offset + size > len(blobs):
            raise InvalidRequest(
                f"{field}.parameters.binary_data_size: {size} bytes are announced, {len(blobs) - offset} are left"
            )
        tensors.append(check_data(Tensor(document.name, datatype, shape, blobs[offset : offset + size]), field))
        offset += size
    if offset != len(blobs):
        raise InvalidRequest(f"binary data: {len(blobs) - offset} bytes follow the last tensor")
    return tuple(tensors)
