"""TensorFlow Serving's model metadata, ``SignatureDef`` ↔ Signature, over gRPC and REST.

The REST form is the JSON form of the gRPC messages, with every field printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from gateway.codecs.tfs_model_spec import (
    DEFAULT_SIGNATURE,
    ModelQuery,
    decode_model_spec,
    encode_model_spec,
    parse_message,
    version_number,
)
from gateway.codecs.tfs_tensor import DT, datatype_from_number
from gateway.core.errors import BackendError, InvalidRequest
from gateway.core.signatures import Signature, Task, TensorSpec
from gateway.protos.loader import message_class

FIELD = "signature_def"  # the one metadata field that there is
_METHOD = "tensorflow/serving/"
_TASKS: tuple[Task, ...] = get_args(Task)

_Request = message_class("tensorflow.serving.GetModelMetadataRequest")
_Response = message_class("tensorflow.serving.GetModelMetadataResponse")
_SignatureDefMap = message_class("tensorflow.serving.SignatureDefMap")

# A signature, or why it cannot be served here.
Learned = Signature | str


def method_name(task: Task) -> str:
    """What a SavedModel calls ``task``."""
    return f"{_METHOD}{task}"


def decode_metadata_request(data: bytes) -> ModelQuery:
    """Whose metadata a serialised ``GetModelMetadataRequest`` asks for.

    Raises:
        InvalidRequest: it asks for anything but ``signature_def``, the one field TensorFlow Serving knows.
    """
    message = parse_message(_Request, data)
    query = decode_model_spec(message)
    if not message.metadata_field:
        raise InvalidRequest("metadata_field: GetModelMetadataRequest must specify at least one metadata_field")
    for field in message.metadata_field:
        if field != FIELD:
            raise InvalidRequest(f"metadata_field: Metadata field {field} is not supported; only {FIELD!r} is")
    return query


def encode_metadata_request(query: ModelQuery) -> bytes:
    """The serialised ``GetModelMetadataRequest`` for the signatures of a model."""
    message = _Request(metadata_field=[FIELD])
    encode_model_spec(message.model_spec, query)
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_metadata_response(model: str, version: str, signatures: Mapping[str, Signature]) -> bytes:
    """The serialised ``GetModelMetadataResponse`` with ``signatures`` by name."""
    message = _Response()
    encode_model_spec(message.model_spec, ModelQuery(model, version))
    message.metadata[FIELD].Pack(_definitions(signatures))
    serialised: bytes = message.SerializeToString()
    return serialised


def metadata_document(model: str, version: str, signatures: Mapping[str, Signature]) -> dict[str, Any]:
    """The document of ``GET …/metadata``."""
    definitions = json_format.MessageToDict(
        _definitions(signatures), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    spec = {"name": model, "signature_name": ""}
    if version_number(version) is not None:
        spec["version"] = version
    return {"model_spec": spec, "metadata": {FIELD: definitions}}


def decode_metadata_response(data: bytes) -> dict[str, Learned]:
    """The signatures by name in a serialised ``GetModelMetadataResponse``; inputs and outputs in alphabetical order.

    Raises:
        BackendError: it breaks the protocol.
    """
    definitions = _SignatureDefMap()
    try:
        _Response.FromString(data).metadata[FIELD].Unpack(definitions)
    except DecodeError:
        raise BackendError("the backend's metadata breaks the protocol") from None
    return _learned(definitions)


def decode_metadata_document(document: Any) -> dict[str, Learned]:
    """The signatures by name in the document of ``GET …/metadata``; raises as ``decode_metadata_response``."""
    definitions = _SignatureDefMap()
    try:
        json_format.ParseDict(document["metadata"][FIELD], definitions, ignore_unknown_fields=True)
    except (KeyError, TypeError, json_format.ParseError):
        raise BackendError("the backend's metadata breaks the protocol") from None
    return _learned(definitions)


def default_name(signatures: Mapping[str, Learned]) -> str:
    """The signature that clients get who name none: ``serving_default``, else the first that can be served.

    Empty when there is none.
    """
    if DEFAULT_SIGNATURE in signatures:
        return DEFAULT_SIGNATURE
    return next((name for name in sorted(signatures) if isinstance(signatures[name], Signature)), "")


def _definitions(signatures: Mapping[str, Signature]) -> Any:
    definitions = _SignatureDefMap()
    for name, signature in signatures.items():
        definition = definitions.signature_def[name]
        definition.method_name = method_name(signature.task)
        for spec in signature.inputs:
            _encode_tensor_info(definition.inputs[spec.name], spec)
        for spec in signature.outputs:
            _encode_tensor_info(definition.outputs[spec.name], spec)
    return definitions


def _learned(definitions: Any) -> dict[str, Learned]:
    return {name: _decode_signature(definitions.signature_def[name]) for name in sorted(definitions.signature_def)}


def _decode_signature(definition: Any) -> Learned:
    task = definition.method_name.removeprefix(_METHOD)
    try:
        return Signature(
            _decode_tensor_infos("inputs", definition.inputs, definition.defaults),
            _decode_tensor_infos("outputs", definition.outputs, {}),
            task if task in _TASKS else "predict",
        )
    except InvalidRequest as error:
        return error.message


def _encode_tensor_info(info: Any, spec: TensorSpec) -> None:
    info.name = f"{spec.name}:0"
    info.dtype = DT[spec.datatype]
    info.tensor_shape.SetInParent()
    for size in spec.shape:
        info.tensor_shape.dim.add(size=size)


def _decode_tensor_infos(side: str, infos: Any, defaults: Any) -> tuple[TensorSpec, ...]:
    return tuple([_decode_tensor_info(f"{side}[{key!r}]", key, infos[key], key in defaults) for key in sorted(infos)])


def _decode_tensor_info(field: str, name: str, info: Any, optional: bool) -> TensorSpec:
    datatype = datatype_from_number(info.dtype, field)
    if info.tensor_shape.unknown_rank:
        raise InvalidRequest(f"{field}: its number of dimensions is not known")
    return TensorSpec(name, datatype, tuple(dim.size for dim in info.tensor_shape.dim), optional, advisory=True)
