"""Open Inference Protocol v2 over gRPC: ``inference.ModelInferRequest`` and ``ModelInferResponse``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from gateway.core.datatypes import NUMPY_DTYPE, Datatype, parse_datatype
from gateway.core.errors import BackendError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import NO_PARAMETERS, InferRequest, InferResponse, Parameter, RequestContext
from gateway.core.tensors import Tensor, check_data, checked_shape, element_count, join_bytes
from gateway.protos.loader import message_class

SERVICE = "inference.GRPCInferenceService"
INFER_METHOD = f"/{SERVICE}/ModelInfer"

_Request = message_class("inference.ModelInferRequest")
_Response = message_class("inference.ModelInferResponse")

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


def decode_request(data: bytes, context: RequestContext, limits: Limits) -> InferRequest:
    """The request in the serialised message ``data``.

    Raises:
        InvalidRequest: it breaks the protocol; names the field.
        PayloadTooLarge: over one of ``limits``.
        Unsupported: it asks for an extension that is not implemented.
    """
    try:
        message = _Request.FromString(data)
    except DecodeError:
        raise InvalidRequest("the message is not a valid inference.ModelInferRequest") from None
    if len(message.inputs) > limits.tensors:
        raise PayloadTooLarge(f"inputs: {len(message.inputs)} tensors are over the limit of {limits.tensors}")
    for index, output in enumerate(message.outputs):
        if "classification" in output.parameters:
            raise Unsupported(f"outputs[{index}]: the classification extension is not implemented")
    return InferRequest(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=_decode_tensors(message.inputs, message.raw_input_contents, "inputs", limits),
        outputs=tuple(output.name for output in message.outputs),
        parameters=_decode_parameters(message.parameters),
        context=context,
    )


def encode_response(response: InferResponse) -> bytes:
    """The serialised message for ``response``, tensors raw, one entry for every output."""
    message = _Response(model_name=response.model, model_version=response.version, id=response.id)
    _encode_parameters(message.parameters, response.parameters)
    for tensor in response.outputs:
        message.outputs.add(name=tensor.name, datatype=tensor.datatype.value, shape=tensor.shape)
        message.raw_output_contents.append(bytes(tensor.data))
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_request(request: InferRequest) -> bytes:
    """The serialised message for ``request``, tensors raw."""
    message = _Request(model_name=request.model, model_version=request.version, id=request.id)
    _encode_parameters(message.parameters, request.parameters)
    for tensor in request.inputs:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype.value, shape=tensor.shape)
        message.raw_input_contents.append(bytes(tensor.data))
    for name in request.outputs:
        message.outputs.add(name=name)
    serialised: bytes = message.SerializeToString()
    return serialised


def decode_response(data: bytes) -> InferResponse:
    """The response in the serialised message ``data``.

    Raises:
        BackendError: it breaks the protocol.
    """
    try:
        message = _Response.FromString(data)
        outputs = _decode_tensors(message.outputs, message.raw_output_contents, "outputs", Limits())
    except (DecodeError, InvalidRequest) as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error}") from None
    return InferResponse(
        message.model_name,
        message.model_version,
        outputs,
        id=message.id,
        parameters=_decode_parameters(message.parameters),
    )


def _decode_tensors(messages: Any, raw: Any, kind: str, limits: Limits) -> tuple[Tensor, ...]:
    if raw and len(raw) != len(messages):
        raise InvalidRequest(f"raw_{kind[:-1]}_contents: {len(raw)} entries for {len(messages)} {kind}")
    tensors: list[Tensor] = []
    for index, message in enumerate(messages):
        field = f"{kind}[{index}] {message.name!r}"
        datatype = parse_datatype(message.datatype, f"{field}.datatype")
        shape = checked_shape(message.shape, field)
        count = element_count(shape)
        if count > limits.elements:
            raise PayloadTooLarge(f"{field}: {count} elements are over the limit of {limits.elements}")
        for parameter in message.parameters:
            if parameter.startswith("shared_memory"):
                raise Unsupported(f"{field}.parameters.{parameter}: shared memory is not implemented")
        if not raw:
            tensors.append(_decode_contents(message, datatype, shape, field))
            continue
        if message.HasField("contents"):
            raise InvalidRequest(f"{field}.contents: must be empty when raw_{kind[:-1]}_contents is used")
        tensors.append(check_data(Tensor(message.name, datatype, shape, raw[index]), field))
    return tuple(tensors)


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
    try:
        array = np.array(values, dtype=NUMPY_DTYPE[datatype])
    except OverflowError:
        raise InvalidRequest(f"{field}.contents.{wanted}: a value is out of range for {datatype}") from None
    return Tensor(message.name, datatype, shape, array.tobytes())


def _decode_parameters(parameters: Any) -> Mapping[str, Parameter]:
    if not parameters:
        return NO_PARAMETERS
    decoded: dict[str, Parameter] = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise InvalidRequest(f"parameters.{name}: no value is set")
        decoded[name] = getattr(parameter, choice)
    return decoded


def _encode_parameters(target: Any, parameters: Mapping[str, Parameter]) -> None:
    for name, value in parameters.items():
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, int):
            setattr(target[name], "int64_param" if value < 2**63 else "uint64_param", value)
        elif isinstance(value, float):
            target[name].double_param = value
        else:
            target[name].string_param = value
