"""TensorFlow Serving over gRPC: the names of its services, and the messages of ``Predict``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from gateway.codecs.packed import varint
from gateway.codecs.tfs_model_spec import (
    DEFAULT_SIGNATURE,
    ModelQuery,
    decode_model_spec,
    encode_model_spec,
    parse_message,
)
from gateway.codecs.tfs_tensor import decode_tensor_proto, encode_tensor_proto
from gateway.core.errors import BackendError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Buffer, Tensor
from gateway.protos.loader import message_class

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
PREDICT_METHOD = f"/{PREDICTION_SERVICE}/Predict"
METADATA_METHOD = f"/{PREDICTION_SERVICE}/GetModelMetadata"
MODEL_STATUS_METHOD = f"/{MODEL_SERVICE}/GetModelStatus"
RELOAD_METHOD = f"/{MODEL_SERVICE}/HandleReloadConfigRequest"

# Tags of the maps of tensors, and of key and value in one of their entries.
_INPUTS, _OUTPUTS, _KEY, _VALUE = b"\x12", b"\x0a", b"\x0a", b"\x12"
# What a backend's few bytes may grow to; what it sends in full was bounded when it was received.
_ANSWER_LIMITS = Limits(body_bytes=2**31 - 1)

_PredictRequest = message_class("tensorflow.serving.PredictRequest")
_PredictResponse = message_class("tensorflow.serving.PredictResponse")


def decode_predict_request(data: bytes, context: RequestContext, limits: Limits) -> InferRequest:
    """The request in the serialised ``PredictRequest``.

    Raises:
        InvalidRequest: it breaks the protocol; names the field.
        PayloadTooLarge: over one of ``limits``.
    """
    message = parse_message(_PredictRequest, data)
    query = decode_model_spec(message)
    if len(message.inputs) > limits.tensors:
        raise PayloadTooLarge(f"inputs: {len(message.inputs)} tensors are over the limit of {limits.tensors}")
    return InferRequest(
        model=query.name,
        version=query.version,
        label=query.label,
        signature=query.signature,
        inputs=tuple(
            [decode_tensor_proto(key, value, f"inputs[{key!r}]", limits) for key, value in message.inputs.items()]
        ),
        outputs=tuple(message.output_filter),
        context=context,
    )


def encode_predict_response(response: InferResponse, signature: str = DEFAULT_SIGNATURE) -> bytes:
    """The serialised ``PredictResponse`` for ``response`` of the model's ``signature``."""
    message = _PredictResponse()
    encode_model_spec(message.model_spec, ModelQuery(response.model, response.version, signature=signature))
    return _with_tensors(message, _OUTPUTS, response.outputs, typed=True)


def encode_predict_request(request: InferRequest) -> bytes:
    """The serialised ``PredictRequest`` for ``request``."""
    message = _PredictRequest(output_filter=request.outputs)
    query = ModelQuery(request.model, request.version, request.label, request.signature or DEFAULT_SIGNATURE)
    encode_model_spec(message.model_spec, query)
    return _with_tensors(message, _INPUTS, request.inputs, typed=False)


def decode_predict_response(data: bytes) -> InferResponse:
    """The response in the serialised ``PredictResponse``; outputs in alphabetical order, as a map has none.

    Raises:
        BackendError: it breaks the protocol.
    """
    try:
        message = _PredictResponse.FromString(data)
        outputs = tuple(
            decode_tensor_proto(key, message.outputs[key], f"outputs[{key!r}]", _ANSWER_LIMITS)
            for key in sorted(message.outputs)
        )
    except (DecodeError, InvalidRequest) as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error}") from None
    version = message.model_spec.version.value if message.model_spec.HasField("version") else ""
    return InferResponse(message.model_spec.name, str(version), outputs)


def _with_tensors(message: Any, tag: bytes, tensors: Iterable[Tensor], *, typed: bool) -> bytes:
    """The serialised ``message`` with ``tensors`` in its map with ``tag``; their bytes are copied just once."""
    pieces: list[Buffer] = [message.SerializeToString()]
    for tensor in tensors:
        name = tensor.name.encode()
        value = encode_tensor_proto(tensor, typed=typed)
        size = sum([piece.nbytes if isinstance(piece, memoryview) else len(piece) for piece in value])
        entry = b"".join((_KEY, varint(len(name)), name, _VALUE, varint(size)))
        pieces += [tag, varint(len(entry) + size), entry, *value]
    return b"".join(pieces)
