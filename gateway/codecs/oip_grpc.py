"""Open Inference Protocol v2 over gRPC: ``inference.ModelInferRequest`` and ``ModelInferResponse``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from gateway.codecs.known_heads import KnownHeads, TensorHeads
from gateway.codecs.known_messages import KnownMessages, Layout
from gateway.codecs.oip_grpc_tensors import decode_parameters, decode_tensors
from gateway.codecs.oip_outputs import NO_WISHES, OutputWishes, decode_wishes
from gateway.codecs.oip_parameters import EMPTY_FINAL_RESPONSE, own_parameters, take_schedule
from gateway.codecs.packed import LENGTH_DELIMITED, cut_out, varint
from gateway.codecs.shared_memory import SWITCHED_OFF, SharedMemory
from gateway.core.errors import BackendError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, Parameter, RequestContext
from gateway.core.tensors import Buffer
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


@dataclass(slots=True, frozen=True)
class _RequestHead:
    """Of a message that says nothing but this; as good as read again for who has the same ``limits``."""

    model: str
    version: str
    tensors: TensorHeads
    outputs: tuple[str, ...]
    wishes: OutputWishes
    limits: Limits


_REQUESTS: KnownMessages[_RequestHead] = KnownMessages()
_RESPONSES: KnownHeads[Hashable, Sequence[bytes]] = KnownHeads()


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
    known = _REQUESTS.get(data)
    if known is not None and known.limits is limits:
        inputs = known.tensors.over(memoryview(data), "inputs")
        return InferRequest(known.model, inputs, context, known.version, outputs=known.outputs), known.wishes
    try:
        message, raw = _parse(_Request, data, "raw_input_contents")
    except DecodeError:
        raise InvalidRequest("the message is not a valid inference.ModelInferRequest") from None
    if len(message.inputs) > limits.tensors:
        raise PayloadTooLarge(f"inputs: {len(message.inputs)} tensors are over the limit of {limits.tensors}")
    parameters = decode_parameters(message.parameters)
    if EMPTY_FINAL_RESPONSE in parameters:
        if not isinstance(parameters[EMPTY_FINAL_RESPONSE], bool):
            raise InvalidRequest(f"parameters.{EMPTY_FINAL_RESPONSE}: true or false is expected")
        parameters = {name: value for name, value in parameters.items() if name != EMPTY_FINAL_RESPONSE}
    take_schedule(parameters, context)
    request = InferRequest(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=decode_tensors(message.inputs, raw, "inputs", limits, memory),
        outputs=tuple(output.name for output in message.outputs),
        parameters=parameters,
        input_parameters={
            each.name: own
            for index, each in enumerate(message.inputs)
            if each.parameters
            and (own := own_parameters(decode_parameters(each.parameters), f"inputs[{index}].parameters"))
        },
        context=context,
    )
    wishes = NO_WISHES
    if message.outputs:
        outputs = ((output.name, decode_parameters(output.parameters)) for output in message.outputs)
        wishes = decode_wishes(outputs, memory)
    of_this_request_only = request.id or message.parameters or any(each.parameters for each in message.inputs)
    if raw and not (of_this_request_only or wishes.windows):
        _keep(data, raw, request, wishes, limits)
    return request, wishes


def encode_response(response: InferResponse, wishes: OutputWishes = NO_WISHES) -> bytes:
    """The serialised message for ``response``, tensors raw, one entry for every output.

    The entry of an output that ``wishes`` put into shared memory is empty.
    """
    if not response.outputs or response.id or response.parameters or wishes.windows:
        message = _Response()
        _fill_response(message, response)
        return _with_raw(message, _RAW_OUTPUT, _raw_outputs(response, wishes))
    pieces: list[Buffer] = []
    for head, tensor in zip(_response_heads(response), response.outputs, strict=True):
        pieces += (head, tensor.data)
    return b"".join(pieces)


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
        outputs = decode_tensors(message.outputs, raw, "outputs", Limits(), SWITCHED_OFF)
    except (DecodeError, InvalidRequest) as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error}") from None
    return InferResponse(
        message.model_name,
        message.model_version,
        outputs,
        id=message.id,
        parameters=decode_parameters(message.parameters),
    )


def _keep(data: bytes, raw: Sequence[Buffer], request: InferRequest, wishes: OutputWishes, limits: Limits) -> None:
    layout = Layout.of(data, _Request, _RAW_INPUT, raw)
    if layout is not None:
        tensors = TensorHeads.of(request.inputs, layout.starts)
        head = _RequestHead(request.model, request.version, tensors, request.outputs, wishes, limits)
        _REQUESTS.keep(data, layout, head)


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


def _response_heads(response: InferResponse) -> Sequence[bytes]:
    """What is written before the raw contents of each output of a ``response`` that says nothing but its outputs."""
    outputs = tuple([(tensor.name, tensor.datatype, tensor.shape, tensor.nbytes) for tensor in response.outputs])
    key = response.model, response.version, outputs
    heads = _RESPONSES.get(key)
    if heads is None:
        message = _Response()
        _fill_response(message, response)
        heads = [_RAW_OUTPUT + varint(tensor.nbytes) for tensor in response.outputs]
        heads[0] = message.SerializeToString() + heads[0]
        _RESPONSES.keep(key, heads)
    return heads


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
