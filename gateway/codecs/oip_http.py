"""Open Inference Protocol v2 over HTTP: JSON bodies, and the binary tensor data extension.

A body is JSON, or a JSON header followed by the tensors' raw bytes in the order of the inputs (outputs);
``Inference-Header-Content-Length`` then holds the header's length. JSON and binary tensors may mix.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from gateway.codecs.json_data import tensor_to_json
from gateway.codecs.json_document import decode_json, encode_json
from gateway.codecs.known_heads import LONGEST, KnownHeads, TensorHeads
from gateway.codecs.oip_documents import REQUEST, RESPONSE, TensorJSON, decode_tensors
from gateway.codecs.oip_outputs import NO_WISHES, OutputWishes, decode_wishes
from gateway.codecs.oip_parameters import checked_parameters, finite_parameters, flag, own_parameters, take_schedule
from gateway.codecs.shared_memory import SWITCHED_OFF, SharedMemory
from gateway.core.errors import BackendError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.messages import NO_PARAMETERS, InferRequest, InferResponse, Parameter, RequestContext
from gateway.core.tensors import Buffer, Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"
_TOKENS = "nan_tokens"  # a parameter of ours
_ASKS_FOR_BINARY = {"parameters": {"binary_data_output": True}}
_NO_LIMITS = Limits(body_bytes=2**63, tensors=2**31, elements=2**62)


@dataclass(slots=True, frozen=True)
class ResponseForm:
    """Which outputs the client wants as binary: ``by_name`` where it said so, else ``default``; and what else.

    ``tokens``: it takes the bare tokens NaN and Infinity, which are no JSON.
    """

    default: bool
    by_name: Mapping[str, bool]
    wishes: OutputWishes = NO_WISHES
    tokens: bool = False

    def is_binary(self, output: str) -> bool:
        """Whether ``output`` goes after the JSON header as raw bytes."""
        return self.by_name.get(output, self.default)


@dataclass(slots=True, frozen=True)
class _RequestHead:
    """A head that says nothing but this; as good as read again for who has the same ``limits``."""

    tensors: TensorHeads
    outputs: tuple[str, ...]
    form: ResponseForm
    limits: Limits


@dataclass(slots=True, frozen=True)
class _ResponseHead:
    model: str
    version: str
    tensors: TensorHeads


H = TypeVar("H", _RequestHead, _ResponseHead)
_REQUEST_HEADS: KnownHeads[bytes, _RequestHead] = KnownHeads()
_RESPONSE_HEADS: KnownHeads[bytes, _ResponseHead] = KnownHeads()
_WRITTEN_HEADS: KnownHeads[Hashable, Buffer] = KnownHeads()


@lru_cache
def infer_path(model: str, version: str = "") -> str:
    """The path of an inference on ``model``, names quoted."""
    versions = f"/versions/{quote(version, safe='')}" if version else ""
    return f"/v2/models/{quote(model, safe='')}{versions}/infer"


def parse_header_length(value: str | None) -> int | None:
    """The number in an ``Inference-Header-Content-Length`` header; None when there is none.

    Raises:
        InvalidRequest: the value is no plain decimal number.
    """
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise InvalidRequest(f"header {HEADER_LENGTH}: a number of bytes is expected, got {value[:40]!r}")
    return int(value)


def decode_request(
    body: Buffer,
    header_length: int | None,
    model: str,
    version: str,
    context: RequestContext,
    limits: Limits,
    memory: SharedMemory = SWITCHED_OFF,
) -> tuple[InferRequest, ResponseForm]:
    """The request in ``body``, and the form in which its outputs are wanted.

    ``memory`` holds the inputs that are not in the body.

    Raises:
        InvalidRequest: the body breaks the protocol; names the field.
        PayloadTooLarge: over one of ``limits``.
        Unsupported: it uses shared memory, and that is switched off.
    """
    header, blobs = _split(body, header_length)
    known = _known(_REQUEST_HEADS, header, blobs)
    if known is not None and known.limits is limits:
        inputs = known.tensors.over(blobs, "inputs")
        return InferRequest(model, inputs, context, version, outputs=known.outputs), known.form
    document = decode_json(header, REQUEST, max_depth=limits.json_depth)
    if len(document.inputs) > limits.tensors:
        raise PayloadTooLarge(f"inputs: {len(document.inputs)} tensors are over the limit of {limits.tensors}")
    inputs = decode_tensors(document.inputs, blobs, "inputs", limits, memory)
    outputs = document.outputs or []
    parameters = checked_parameters(document.parameters or {}, "parameters")
    default = flag(parameters.pop("binary_data_output", False), "parameters.binary_data_output")
    tokens = flag(parameters.pop(_TOKENS, False), f"parameters.{_TOKENS}")
    by_name: dict[str, bool] = {}
    for index, output in enumerate(outputs):
        field = f"outputs[{index}].parameters"
        checked_parameters(output.parameters, field)
        if "binary_data" in output.parameters:
            by_name[output.name] = flag(output.parameters["binary_data"], f"{field}.binary_data")
    take_schedule(parameters, context)
    request = InferRequest(
        model=model,
        version=version,
        id=document.id or "",
        inputs=inputs,
        outputs=tuple(output.name for output in outputs),
        parameters=parameters,
        input_parameters={
            each.name: own
            for index, each in enumerate(document.inputs)
            if each.given and (own := own_parameters(each.given, f"inputs[{index}].parameters"))
        },
        context=context,
    )
    wishes = decode_wishes(((output.name, output.parameters) for output in outputs), memory) if outputs else NO_WISHES
    form = ResponseForm(default, by_name, wishes, tokens)
    if not (request.id or parameters or request.input_parameters or wishes.windows) and _may_come_again(
        header, document.inputs
    ):
        _REQUEST_HEADS.keep(bytes(header), _RequestHead(TensorHeads.of(inputs), request.outputs, form, limits))
    return request, form


def encode_response(response: InferResponse, form: ResponseForm) -> tuple[bytes, int | None]:
    """The body for ``response``, and the length of its JSON header (None when it is all JSON).

    Raises:
        Unsupported: an output wanted as JSON has no JSON form.
    """
    head: dict[str, Any] = {"model_name": response.model, "model_version": response.version}
    binary = [form.is_binary(output.name) for output in response.outputs]
    if all(binary) and not (response.id or response.parameters or form.wishes.windows):
        parts, length = _encode_usual(("outputs", response.model, response.version), head, response.outputs)
        return b"".join(parts), length
    if response.id:
        head["id"] = response.id
    if response.parameters:
        head["parameters"] = finite_parameters(response.parameters)
    parts, length = _encode(head, "outputs", response.outputs, binary, form.wishes, tokens=form.tokens)
    return b"".join(parts), length


def encode_request(request: InferRequest, *, binary: bool = True) -> tuple[bytes, int | None]:
    """The body for ``request``, and the length of its JSON header (None when it is all JSON).

    ``binary`` sends the inputs as raw bytes and asks for the outputs in the same form.

    Raises:
        Unsupported: an input has no JSON form and ``binary`` is false.
    """
    parts, header_length = encode_request_parts(request, binary=binary)
    return b"".join(parts), header_length


def encode_request_parts(request: InferRequest, *, binary: bool = True) -> tuple[list[Buffer], int | None]:
    """The same in parts, the tensors' bytes uncopied."""
    said = request.id or request.parameters or request.outputs or request.input_parameters
    if binary and not said:
        return _encode_usual(("inputs",), _ASKS_FOR_BINARY, request.inputs)
    head: dict[str, Any] = {"id": request.id} if request.id else {}
    head["parameters"] = {**finite_parameters(request.parameters), "binary_data_output": binary}
    if request.outputs:
        head["outputs"] = [{"name": name, "parameters": {"binary_data": binary}} for name in request.outputs]
    return _encode(head, "inputs", request.inputs, [binary] * len(request.inputs), said=request.input_parameters)


def decode_response(body: Buffer, header_length: int | None) -> InferResponse:
    """The response in ``body``.

    Raises:
        BackendError: it breaks the protocol.
    """
    try:
        header, blobs = _split(body, header_length)
        known = _known(_RESPONSE_HEADS, header, blobs)
        if known is not None:
            return InferResponse(known.model, known.version, known.tensors.over(blobs, "outputs"))
        document = decode_json(header, RESPONSE, max_depth=_NO_LIMITS.json_depth)
        outputs = decode_tensors(document.outputs, blobs, "outputs", _NO_LIMITS, SWITCHED_OFF)
    except InvalidRequest as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error.message}") from None
    if not (document.id or document.parameters) and _may_come_again(header, document.outputs):
        head = _ResponseHead(document.model_name, document.model_version or "", TensorHeads.of(outputs))
        _RESPONSE_HEADS.keep(bytes(header), head)
    return InferResponse(
        document.model_name,
        document.model_version or "",
        outputs,
        id=document.id or "",
        parameters=document.parameters or NO_PARAMETERS,
    )


def _split(body: Buffer, header_length: int | None) -> tuple[Buffer, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if header_length == 0:
        raise InvalidRequest(f"header {HEADER_LENGTH}: 0 bytes of JSON are none")
    if header_length > len(body):
        raise InvalidRequest(f"header {HEADER_LENGTH}: {header_length} is more than the body's {len(body)} bytes")
    view = memoryview(body)
    return view[:header_length], view[header_length:]


def _known(heads: KnownHeads[bytes, H], header: Buffer, blobs: memoryview) -> H | None:
    """What ``header`` means, where it came before and ``blobs`` are as long as it says."""
    known = heads.get(bytes(header)) if blobs and len(header) <= LONGEST else None
    return known if known is not None and known.tensors.end == len(blobs) else None


def _may_come_again(header: Buffer, documents: Sequence[TensorJSON]) -> bool:
    """Whether nothing in ``header`` is of one request only: all its tensors, which were read, are behind it."""
    return len(header) <= LONGEST and all("binary_data_size" in document.parameters for document in documents)


def _encode_usual(
    said: tuple[str, ...], head: Mapping[str, Any], tensors: Sequence[Tensor]
) -> tuple[list[Buffer], int | None]:
    """The ``tensors`` as raw bytes behind a ``head`` that says nothing but what is ``said``, the kind of them first."""
    key = said, tuple([(tensor.name, tensor.datatype, tensor.shape, tensor.nbytes) for tensor in tensors])
    header = _WRITTEN_HEADS.get(key)
    if header is None:
        (header, *_), _ = _encode(dict(head), said[0], tensors, [True] * len(tensors))
        _WRITTEN_HEADS.keep(key, header)
    return [header, *[tensor.data for tensor in tensors]], len(header) if tensors else None


def _encode(
    head: dict[str, Any],
    kind: str,
    tensors: Sequence[Tensor],
    binary: Sequence[bool],
    wishes: OutputWishes = NO_WISHES,
    said: Mapping[str, Mapping[str, Parameter]] = {},
    *,
    tokens: bool = False,
) -> tuple[list[Buffer], int | None]:
    documents: list[dict[str, Any]] = []
    blobs: list[Buffer] = []
    for tensor, raw in zip(tensors, binary, strict=True):
        document: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype.value, "shape": tensor.shape}
        if tensor.name in said:
            document["parameters"] = finite_parameters(said[tensor.name])
        if tensor.name in wishes.windows:
            pass  # Triton's C++ client takes any parameters here for the size of binary data
        elif raw:
            document.setdefault("parameters", {})["binary_data_size"] = tensor.nbytes
            blobs.append(tensor.data)
        else:
            document["data"] = tensor_to_json(tensor, tokens=tokens)
        documents.append(document)
    head[kind] = documents
    header = encode_json(head) if tokens else orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
    return [header, *blobs], len(header) if blobs else None
