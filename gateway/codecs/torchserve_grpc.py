"""TorchServe over gRPC: messages of the inference and the management API, in and out."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from gateway.codecs.torchserve_parts import Part
from gateway.core.errors import BackendError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.tensors import Buffer
from gateway.protos.loader import message_class

INFERENCE_SERVICE = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
MANAGEMENT_SERVICE = "org.pytorch.serve.grpc.management.ManagementAPIsService"
PREDICTIONS_METHOD = f"/{INFERENCE_SERVICE}/Predictions"

_FRAME = struct.Struct("<I")

_PredictionsRequest = message_class("org.pytorch.serve.grpc.inference.PredictionsRequest")
_PredictionResponse = message_class("org.pytorch.serve.grpc.inference.PredictionResponse")
_Health = message_class("org.pytorch.serve.grpc.inference.TorchServeHealthResponse")
_Describe = message_class("org.pytorch.serve.grpc.management.DescribeModelRequest")
_List = message_class("org.pytorch.serve.grpc.management.ListModelsRequest")
_Register = message_class("org.pytorch.serve.grpc.management.RegisterModelRequest")
_Unregister = message_class("org.pytorch.serve.grpc.management.UnregisterModelRequest")
_SetDefault = message_class("org.pytorch.serve.grpc.management.SetDefaultRequest")
_Answer = message_class("org.pytorch.serve.grpc.management.ManagementResponse")


@dataclass(slots=True, frozen=True)
class PredictionCall:
    """One request: its parts, and the sequence it belongs to (empty: none)."""

    model: str
    version: str
    parts: list[Part]
    sequence: str


def decode_predictions(data: bytes, limits: Limits) -> PredictionCall:
    """The call in a serialised ``PredictionsRequest``.

    Raises:
        InvalidRequest: it is no such message, or names no model.
        PayloadTooLarge: over one of ``limits``.
    """
    message = _parse(_PredictionsRequest, data)
    if not message.model_name:
        raise InvalidRequest("model_name: it is required")
    if len(message.input) > limits.tensors:
        raise PayloadTooLarge(f"input: {len(message.input)} entries are over the limit of {limits.tensors}")
    parts = [Part(name, value) for name, value in message.input.items()]
    return PredictionCall(message.model_name, message.model_version, parts, message.sequence_id)


def encode_predictions(model: str, version: str, parts: Sequence[Part]) -> bytes:
    """The serialised ``PredictionsRequest`` of ``parts``; ``version`` empty leaves it to the server."""
    message = _PredictionsRequest(model_name=model, model_version=version)
    for part in parts:
        message.input[part.name] = bytes(part.data)
    return _dump(message)


def encode_prediction(body: Buffer, sequence: str = "") -> bytes:
    """The serialised ``PredictionResponse`` with ``body``."""
    message = _PredictionResponse(prediction=bytes(body))
    if sequence:
        message.sequence_id = sequence
    return _dump(message)


def encode_failed_prediction(code: int, text: str, sequence: str) -> bytes:
    """The serialised ``PredictionResponse`` of one message of a stream that failed with a gRPC status ``code``."""
    message = _PredictionResponse()
    message.status.code = code
    message.status.message = text
    if sequence:
        message.sequence_id = sequence
    return _dump(message)


def decode_prediction(data: bytes) -> bytes:
    """The body in a serialised ``PredictionResponse``.

    Raises:
        BackendError: it is no such message.
    """
    try:
        body: bytes = _PredictionResponse.FromString(data).prediction
    except DecodeError:
        raise BackendError("the backend's answer breaks the protocol: it is no PredictionResponse") from None
    return body


def frame_oip(body: bytes, header_length: int | None) -> bytes:
    """An OIP answer for a client that has no headers to look at: the length of its JSON header, then ``body``."""
    return _FRAME.pack(len(body) if header_length is None else header_length) + body


def unframe_oip(data: bytes) -> tuple[memoryview, int]:
    """The body in an answer of ``frame_oip``, and the length of its JSON header.

    Raises:
        BackendError: it is none.
    """
    length = int.from_bytes(data[: _FRAME.size], "little")
    if len(data) < _FRAME.size or length > len(data) - _FRAME.size:
        raise BackendError("the backend's answer breaks the protocol: no JSON header of the length in front of it")
    return memoryview(data)[_FRAME.size :], length


def encode_health(text: str) -> bytes:
    """The serialised answer to ``Ping``."""
    return _dump(_Health(health=text))


def decode_health(data: bytes) -> str:
    """The status in a serialised answer to ``Ping``; empty when it tells none."""
    try:
        status = json.loads(_Health.FromString(data).health)["status"]
    except (DecodeError, ValueError, KeyError, TypeError):
        return ""
    return str(status)


def decode_describe(data: bytes) -> tuple[str, str]:
    """Model and version of a serialised ``DescribeModelRequest``."""
    message = _parse(_Describe, data)
    return message.model_name, message.model_version


def decode_list(data: bytes) -> tuple[int, int]:
    """Limit (0: the default) and page token of a serialised ``ListModelsRequest``."""
    message = _parse(_List, data)
    return message.limit, message.next_page_token


def decode_register(data: bytes) -> tuple[str, str]:
    """Archive and model name (empty: the archive's) of a serialised ``RegisterModelRequest``."""
    message = _parse(_Register, data)
    return message.url, message.model_name


def decode_unregister(data: bytes) -> tuple[str, str]:
    """Model and version of a serialised ``UnregisterModelRequest``."""
    message = _parse(_Unregister, data)
    return message.model_name, message.model_version


def decode_set_default(data: bytes) -> tuple[str, str]:
    """Model and version of a serialised ``SetDefaultRequest``."""
    message = _parse(_SetDefault, data)
    return message.model_name, message.model_version


def encode_management(text: str) -> bytes:
    """The serialised ``ManagementResponse``."""
    return _dump(_Answer(msg=text))


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidRequest(f"the message is no valid {kind.DESCRIPTOR.name}") from None


def _dump(message: Any) -> bytes:
    serialised: bytes = message.SerializeToString()
    return serialised
