"""TensorFlow Serving's model status, over gRPC and REST (whose form is the JSON form of the message)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from gateway.codecs.tfs_model_spec import ModelQuery, decode_model_spec, encode_model_spec, parse_message
from gateway.core.errors import BackendError
from gateway.protos.loader import message_class

AVAILABLE, LOADING, UNLOADING, END = "AVAILABLE", "LOADING", "UNLOADING", "END"
_UNAVAILABLE = 14  # tensorflow.error.Code

_Request = message_class("tensorflow.serving.GetModelStatusRequest")
_Response = message_class("tensorflow.serving.GetModelStatusResponse")
_STATES = {
    value.number: value.name for value in _Response.DESCRIPTOR.fields[0].message_type.enum_types_by_name["State"].values
}


@dataclass(slots=True, frozen=True)
class VersionStatus:
    """One version of a model; ``state`` in TensorFlow Serving's words, ``problem`` empty when all is well."""

    version: int
    state: str
    problem: str = ""


def decode_status_request(data: bytes) -> ModelQuery:
    """Whose status a serialised ``GetModelStatusRequest`` asks for; without a version, that of all versions."""
    return decode_model_spec(parse_message(_Request, data))


def encode_status_request(model: str, version: str = "") -> bytes:
    """The serialised ``GetModelStatusRequest`` for one or (empty) for all versions of ``model``."""
    message = _Request()
    encode_model_spec(message.model_spec, ModelQuery(model, version))
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_status_response(versions: Iterable[VersionStatus]) -> bytes:
    """The serialised ``GetModelStatusResponse``."""
    serialised: bytes = _message(versions).SerializeToString()
    return serialised


def status_document(versions: Iterable[VersionStatus]) -> dict[str, Any]:
    """The document of ``GET /v1/models/{model}``."""
    document: dict[str, Any] = json_format.MessageToDict(_message(versions), always_print_fields_with_no_presence=True)
    return document


def decode_status_response(data: bytes) -> list[VersionStatus]:
    """The versions in a serialised ``GetModelStatusResponse``, oldest first.

    Raises:
        BackendError: it breaks the protocol.
    """
    try:
        return _versions(_Response.FromString(data))
    except DecodeError:
        raise BackendError("the backend's status breaks the protocol") from None


def decode_status_document(document: Any) -> list[VersionStatus]:
    """The versions in the document of ``GET /v1/models/{model}``; raises as ``decode_status_response``."""
    if not isinstance(document, dict):
        raise BackendError("the backend's status breaks the protocol")
    try:
        return _versions(json_format.ParseDict(document, _Response(), ignore_unknown_fields=True))
    except (TypeError, json_format.ParseError):
        raise BackendError("the backend's status breaks the protocol") from None


def _message(versions: Iterable[VersionStatus]) -> Any:
    message = _Response()
    for version in versions:
        entry = message.model_version_status.add(version=version.version, state=version.state)
        entry.status.SetInParent()
        if version.problem:
            entry.status.error_code, entry.status.error_message = _UNAVAILABLE, version.problem
    return message


def _versions(message: Any) -> list[VersionStatus]:
    return sorted(
        [
            VersionStatus(entry.version, _STATES.get(entry.state, "UNKNOWN"), entry.status.error_message)
            for entry in message.model_version_status
        ],
        key=lambda status: status.version,
    )
