"""Open Inference Protocol v2 over gRPC: ``inference.ModelInferRequest`` and ``ModelInferResponse``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from gateway.codecs.oip_outputs import NO_WISHES, OutputWishes, decode_wishes
from gateway.codecs.oip_parameters import EMPTY_FINAL_RESPONSE, own_parameters, take_schedule
from gateway.codecs.packed import LENGTH_DELIMITED, PACKED, cut_out, packed_bytes, varint
from gateway.codecs.shared_memory import SWITCHED_OFF, SharedMemory, Window, parse_window
from gateway.core.datatypes import NUMPY_DTYPE, Datatype, parse_datatype
from gateway.core.errors import BackendError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.messages import NO_PARAMETERS, InferRequest, InferResponse, Parameter, RequestContext
from gateway.core.tensors import Buffer, Tensor, check_data, checked_shape, element_count, join_bytes
from gateway.protos.loader import message_class

SERVICE = "inference.GRPCInferenceService"
INFER_METHOD = f"/{SERVICE}/ModelInfer"
STREAM_METHOD = f"/{SERVICE}/ModelStreamInfer"

_Request = message_class("inference.ModelInferRequest")
_Response = message_class("inference.ModelInferResponse")
_StreamResponse = message_class("inference.ModelStreamInferResponse")

# Bytes of a message whose raw contents are not copied.
_LARGE = 32 * 1024

_FINAL_RESPONSE = "triton_final_response"
# Tags of raw_input_contents and raw_output_contents.
_RAW_INPUT, _RAW_OUTPUT = b"\x3a", b"\x32"

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


def decode_request(
    data: bytes, context: RequestContext, limits: Limits, memory: SharedMemory = SWITCHED_OFF
) -> tuple[InferRequest, OutputWishes]:
    """The request in the serialised message ``data``, and what is wanted of its outputs.

    ``memory`` holds the inputs that are not in the message.

    Raises:
        InvalidRequest: it breaks the protocol; names the field.
        PayloadTooLarge: over one of ``limits``.
        Unsupported: it uses shared memory, and that is switched off.
    """
    try:
        message, raw = _parse(_Request, data, "raw_input_contents")
    except DecodeError:
        raise InvalidRequest("the message is not a valid inference.ModelInferRequest") from None
    if len(message.inputs) > limits.tensors:
        raise PayloadTooLarge(f"inputs: {len(message.inputs)} tensors are over the limit of {limits.tensors}")
    parameters = _decode_parameters(message.parameters)
    if EMPTY_FINAL_RESPONSE in parameters:
        if not isinstance(parameters[EMPTY_FINAL_RESPONSE], bool):
            raise InvalidRequest(f"parameters.{EMPTY_FINAL_RESPONSE}: true or false is expected")
        parameters = {name: value for name, value in parameters.items() if name != EMPTY_FINAL_RESPONSE}
    take_schedule(parameters, context)
    request = InferRequest(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=_decode_tensors(message.inputs, raw, "inputs", limits, memory),
        outputs=tuple(output.name for output in message.outputs),
        parameters=parameters,
        input_parameters={
            each.name: own
            for index, each in enumerate(message.inputs)
            if each.parameters
            and (own := own_parameters(_decode_parameters(each.parameters), f"inputs[{index}].parameters"))
        },
        context=context,
    )
    if not message.outputs:
        return request, NO_WISHES
    outputs = ((output.name, _decode_parameters(output.parameters)) for output in message.outputs)
    return request, decode_wishes(outputs, memory)


def encode_response(response: InferResponse, wishes: OutputWishes = NO_WISHES) -> bytes:
    """The serialised message for ``response``, tensors raw, one entry for every output.

    The entry of an output that ``wishes`` put into shared memory is empty.
    """
    message = _Response()
    _fill_response(message, response)
    return _with_raw(message, _RAW_OUTPUT, _raw_outputs(response, wishes))


def encode_stream_response(response: InferResponse, wishes: OutputWishes = NO_WISHES) -> bytes:
    """The serialised message of a stream for ``response``; says that it is the only one to its request."""
    message = _StreamResponse()
    _fill_response(message.infer_response, response)
    message.infer_response.raw_output_contents.extend(map(bytes, _raw_outputs(response, wishes)))
    message.infer_response.parameters[_FINAL_RESPONSE].bool_param = True
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_stream_error(text: str, data: bytes) -> bytes:
    """The serialised message of a stream for an error, with the id and the model of the request ``data``."""
    message = _StreamResponse(error_message=text)
    try:
        request = _Request.FromString(data)
    except DecodeError:
        request = _Request()
    answer = message.infer_response
    answer.id, answer.model_name, answer.model_version = request.id, request.model_name, request.model_version
    answer.parameters[_FINAL_RESPONSE].bool_param = True
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_request(request: InferRequest) -> bytes:
    """The serialised message for ``request``, tensors raw."""
    message = _Request(model_name=request.model, model_version=request.version, id=request.id)
    _encode_parameters(message.parameters, request.parameters)
    for tensor in request.inputs:
        entry = message.inputs.add(name=tensor.name, datatype=tensor.datatype.value, shape=tensor.shape)
        if tensor.name in request.input_parameters:
            _encode_parameters(entry.parameters, request.input_parameters[tensor.name])
    for name in request.outputs:
        message.outputs.add(name=name)
    return _with_raw(message, _RAW_INPUT, [tensor.data for tensor in request.inputs])


def decode_response(data: bytes) -> InferResponse:
    """The response in the serialised message ``data``.

    Raises:
        BackendError: it breaks the protocol.
    """
    try:
        message, raw = _parse(_Response, data, "raw_output_contents")
        outputs = _decode_tensors(message.outputs, raw, "outputs", Limits(), SWITCHED_OFF)
    except (DecodeError, InvalidRequest) as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error}") from None
    return InferResponse(
        message.model_name,
        message.model_version,
        outputs,
        id=message.id,
        parameters=_decode_parameters(message.parameters),
    )


def _parse(kind: Any, data: bytes, contents: str) -> tuple[Any, Sequence[Buffer]]:
    """The message in ``data`` and its raw ``contents``, which are not in the message where they are large.

    Raises:
        DecodeError: it is none.
    """
    if len(data) >= _LARGE:
        parts = cut_out(data, kind.DESCRIPTOR.fields_by_name[contents].number << 3 | LENGTH_DELIMITED)
        if parts is not None:
            rest, raw = parts
            return kind.FromString(rest), raw
    message = kind.FromString(data)
    return message, getattr(message, contents)


def _fill_response(message: Any, response: InferResponse) -> None:
    """All but the raw contents."""
    message.model_name, message.model_version, message.id = response.model, response.version, response.id
    _encode_parameters(message.parameters, response.parameters)
    for tensor in response.outputs:
        message.outputs.add(name=tensor.name, datatype=tensor.datatype.value, shape=tensor.shape)


def _raw_outputs(response: InferResponse, wishes: OutputWishes) -> list[Buffer]:
    return [b"" if tensor.name in wishes.windows else tensor.data for tensor in response.outputs]


def _with_raw(message: Any, tag: bytes, contents: Sequence[Buffer]) -> bytes:
    """``message`` serialised with ``contents`` behind it, copied once; protobuf itself would copy them twice."""
    pieces: list[Buffer] = [message.SerializeToString()]
    for content in contents:
        pieces += (tag, varint(memoryview(content).nbytes), content)
    return b"".join(pieces)


def _decode_tensors(
    messages: Any, raw: Sequence[Buffer], kind: str, limits: Limits, memory: SharedMemory
) -> tuple[Tensor, ...]:
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


def _decode_windows(messages: Any, kind: str, limits: Limits) -> dict[int, Window]:
    """Where the tensors are that are in shared memory, by index."""
    windows: dict[int, Window] = {}
    for index, message in enumerate(messages):
        if message.parameters:
            field = f"{kind}[{index}] {message.name!r}"
            window = parse_window(_decode_parameters(message.parameters), field)
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
