"""The tensors and parameters in the messages of the Open Inference Protocol v2 over gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gateway.codecs.packed import PACKED, packed_bytes
from gateway.codecs.shared_memory import SharedMemory, Window, parse_window
from gateway.core.datatypes import NUMPY_DTYPE, Datatype, parse_datatype
from gateway.core.errors import InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.messages import NO_PARAMETERS, Parameter
from gateway.core.tensors import Buffer, Tensor, check_data, checked_shape, element_count, join_bytes

# Which typed field carries a datatype; FP16 and BF16 have none.
_CONTENTS: dict[Datatype, str] = {
    Datatype.BOOL: "bool_contents",
    Datatype.INT8: "int_contents",
    Datatype.INT16: "int_contents",
    Datatype.INT32: "int_contents",
    Datatype.INT64: "int64_contents",
    Datatype.UINT8: "uint_contents",
    Datatype.UINT16: "uint_contents",
    Datatype.UINT32: "uint_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}


def decode_tensors(
    messages: Any, raw: Sequence[Buffer], kind: str, limits: Limits, memory: SharedMemory
) -> tuple[Tensor, ...]:
    """The tensors that ``messages`` describe, with the ``raw`` contents where there are any; ``kind``: their field.

    Raises:
        InvalidRequest: one breaks the protocol; names the field.
        PayloadTooLarge: over one of ``limits``.
        GatewayError: as ``memory`` raises.
    """
    windows = _decode_windows(messages, kind, limits)
    if raw and len(raw) != len(messages) - len(windows):
        raise InvalidRequest(f"raw_{kind[:-1]}_contents: {len(raw)} entries for {len(messages) - len(windows)} {kind}")
    contents = iter(raw)
    tensors: list[Tensor] = []
    for index, message in enumerate(messages):
        field = f"{kind}[{index}] {message.name!r}"
        datatype = parse_datatype(message.datatype, f"{field}.datatype")
        shape = checked_shape(message.shape, field)
        count = element_count(shape)
        if count > limits.elements:
            raise PayloadTooLarge(f"{field}: {count} elements are over the limit of {limits.elements}")
        window = windows.get(index)
        if not raw and window is None:
            tensors.append(_decode_contents(message, datatype, shape, field))
            continue
        if message.contents.ByteSize():  # MLServer sets an empty message beside raw contents
            other = f"raw_{kind[:-1]}_contents" if window is None else "shared memory"
            raise InvalidRequest(f"{field}.contents: must be empty when {other} is used")
        data = next(contents) if window is None else memory.read(window, field)
        tensors.append(check_data(Tensor(message.name, datatype, shape, data), field))
    return tuple(tensors)


def decode_parameters(parameters: Any) -> Mapping[str, Parameter]:
    """The values of ``parameters``, of whatever type; raises InvalidRequest where one has none."""
    if not parameters:
        return NO_PARAMETERS
    decoded: dict[str, Parameter] = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise InvalidRequest(f"parameters.{name}: no value is set")
        decoded[name] = getattr(parameter, choice)
    return decoded


def _decode_windows(messages: Any, kind: str, limits: Limits) -> dict[int, Window]:
    """Where the tensors are that are in shared memory, by index."""
    windows: dict[int, Window] = {}
    for index, message in enumerate(messages):
        if message.parameters:
            field = f"{kind}[{index}] {message.name!r}"
            window = parse_window(decode_parameters(message.parameters), field)
            if window is not None:
                windows[index] = window
    if windows and (size := sum(window.byte_size for window in windows.values())) > limits.body_bytes:
        raise PayloadTooLarge(f"{kind}: {size} bytes in shared memory are over the limit of {limits.body_bytes}")
    return windows


def _decode_contents(message: Any, datatype: Datatype, shape: tuple[int, ...], field: str) -> Tensor:
    wanted = _CONTENTS.get(datatype)
    if wanted is None:
        raise InvalidRequest(f"{field}.contents: {datatype} has no typed form; use raw contents")
    for descriptor, _ in message.contents.ListFields():
        if descriptor.name != wanted:
            raise InvalidRequest(f"{field}.contents.{descriptor.name}: {datatype} belongs in {wanted}")
    values = getattr(message.contents, wanted)
    if len(values) != element_count(shape):
        raise InvalidRequest(f"{field}.contents.{wanted}: {len(values)} elements do not match shape {list(shape)}")
    if datatype is Datatype.BYTES:
        return Tensor(message.name, datatype, shape, join_bytes(values))
    if datatype in PACKED:
        return Tensor(message.name, datatype, shape, packed_bytes(message.contents, wanted))
    try:
        array = np.array(values, dtype=NUMPY_DTYPE[datatype])
    except OverflowError:
        raise InvalidRequest(f"{field}.contents.{wanted}: a value is out of range for {datatype}") from None
    return Tensor(message.name, datatype, shape, array.tobytes())
