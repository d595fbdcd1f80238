"""TensorFlow Serving over gRPC: ``PredictionService`` and ``ModelService``, as messages in and out."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from gateway.codecs.tfs_tensor import DT, datatype_from_number, decode_tensor_proto, fill_tensor_proto
from gateway.core.errors import BackendError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import element_count
from gateway.protos.loader import message_class

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
PREDICT_METHOD = f"/{PREDICTION_SERVICE}/Predict"
MODEL_STATUS_METHOD = f"/{MODEL_SERVICE}/GetModelStatus"
DEFAULT_SIGNATURE = "serving_default"
_AVAILABLE = 30  # ModelVersionStatus.State

_PredictRequest = message_class("tensorflow.serving.PredictRequest")
_PredictResponse = message_class("tensorflow.serving.PredictResponse")
_MetadataRequest = message_class("tensorflow.serving.GetModelMetadataRequest")
_MetadataResponse = message_class("tensorflow.serving.GetModelMetadataResponse")
_StatusRequest = message_class("tensorflow.serving.GetModelStatusRequest")
_StatusResponse = message_class("tensorflow.serving.GetModelStatusResponse")
_SignatureDefMap = message_class("tensorflow.serving.SignatureDefMap")


def decode_predict_request(data: bytes, context: RequestContext, limits: Limits) -> InferRequest:
    """The request in the serialised ``PredictRequest``.

    Raises:
        InvalidRequest: it breaks the protocol; names the field.
        PayloadTooLarge: over one of ``limits``.
    """
    message = _parse(_PredictRequest, data)
    name, version = _decode_model_spec(message.model_spec)
    if len(message.inputs) > limits.tensors:
        raise PayloadTooLarge(f"inputs: {len(message.inputs)} tensors are over the limit of {limits.tensors}")
    tensors = []
    for key, value in message.inputs.items():
        tensor = decode_tensor_proto(key, value, f"inputs[{key!r}]")
        if element_count(tensor.shape) > limits.elements:
            raise PayloadTooLarge(f"inputs[{key!r}]: over the limit of {limits.elements} elements")
        tensors.append(tensor)
    return InferRequest(
        model=name, version=version, inputs=tuple(tensors), outputs=tuple(message.output_filter), context=context
    )


def encode_predict_response(response: InferResponse) -> bytes:
    """The serialised ``PredictResponse`` for ``response``."""
    message = _PredictResponse()
    _encode_model_spec(message.model_spec, response.model, response.version)
    message.model_spec.signature_name = DEFAULT_SIGNATURE
    for tensor in response.outputs:
        fill_tensor_proto(message.outputs[tensor.name], tensor)
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_predict_request(request: InferRequest) -> bytes:
    """The serialised ``PredictRequest`` for ``request``."""
    message = _PredictRequest(output_filter=request.outputs)
    _encode_model_spec(message.model_spec, request.model, request.version)
    message.model_spec.signature_name = DEFAULT_SIGNATURE
    for tensor in request.inputs:
        fill_tensor_proto(message.inputs[tensor.name], tensor)
    serialised: bytes = message.SerializeToString()
    return serialised


def decode_predict_response(data: bytes) -> InferResponse:
    """The response in the serialised ``PredictResponse``; outputs in alphabetical order, as a map has none.

    Raises:
        BackendError: it breaks the protocol.
    """
    try:
        message = _PredictResponse.FromString(data)
        outputs = tuple(
            decode_tensor_proto(key, message.outputs[key], f"outputs[{key!r}]") for key in sorted(message.outputs)
        )
    except (DecodeError, InvalidRequest) as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error}") from None
    version = message.model_spec.version.value if message.model_spec.HasField("version") else ""
    return InferResponse(message.model_spec.name, str(version), outputs)


def decode_metadata_request(data: bytes) -> tuple[str, str]:
    """Model and version (empty: latest) of a serialised ``GetModelMetadataRequest``.

    Raises:
        InvalidRequest: it asks for anything but ``signature_def``, the one field TensorFlow Serving knows.
    """
    message = _parse(_MetadataRequest, data)
    if list(message.metadata_field) != ["signature_def"]:
        raise InvalidRequest(f"metadata_field: only ['signature_def'] is known, got {list(message.metadata_field)}")
    return _decode_model_spec(message.model_spec)


def encode_metadata_response(model: str, version: str, signature: Signature) -> bytes:
    """The serialised ``GetModelMetadataResponse`` with the model's one signature."""
    message = _MetadataResponse()
    _encode_model_spec(message.model_spec, model, version)
    definitions = _SignatureDefMap()
    definition = definitions.signature_def[DEFAULT_SIGNATURE]
    definition.method_name = "tensorflow/serving/predict"
    for spec in signature.inputs:
        _encode_tensor_info(definition.inputs[spec.name], spec)
    for spec in signature.outputs:
        _encode_tensor_info(definition.outputs[spec.name], spec)
    message.metadata["signature_def"].Pack(definitions)
    serialised: bytes = message.SerializeToString()
    return serialised


def decode_metadata_response(data: bytes) -> Signature:
    """The ``serving_default`` signature in a serialised ``GetModelMetadataResponse``; names in alphabetical order.

    Raises:
        BackendError: there is none.
    """
    definitions = _SignatureDefMap()
    try:
        message = _MetadataResponse.FromString(data)
        message.metadata["signature_def"].Unpack(definitions)
        definition = definitions.signature_def[DEFAULT_SIGNATURE]
        return Signature(_decode_tensor_infos(definition.inputs), _decode_tensor_infos(definition.outputs))
    except (DecodeError, InvalidRequest) as error:
        raise BackendError(f"the backend's metadata breaks the protocol: {error}") from None


def decode_status_request(data: bytes) -> tuple[str, str]:
    """Model and version (empty: all) of a serialised ``GetModelStatusRequest``."""
    return _decode_model_spec(_parse(_StatusRequest, data).model_spec)


def encode_status_request(model: str) -> bytes:
    """The serialised ``GetModelStatusRequest`` for all versions of ``model``."""
    message = _StatusRequest()
    _encode_model_spec(message.model_spec, model, "")
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_status_response(versions: list[tuple[int, bool]]) -> bytes:
    """The serialised ``GetModelStatusResponse`` for (version, available) pairs."""
    message = _StatusResponse()
    for version, available in versions:
        message.model_version_status.add(
            version=version, state="AVAILABLE" if available else "LOADING"
        ).status.SetInParent()
    serialised: bytes = message.SerializeToString()
    return serialised


def decode_status_response(data: bytes) -> bool:
    """Whether any version in a serialised ``GetModelStatusResponse`` is available.

    Raises:
        BackendError: it breaks the protocol.
    """
    try:
        message = _StatusResponse.FromString(data)
    except DecodeError:
        raise BackendError("the backend's status breaks the protocol") from None
    return any(status.state == _AVAILABLE for status in message.model_version_status)


def _parse(message_type: Any, data: bytes) -> Any:
    try:
        return message_type.FromString(data)
    except DecodeError:
        raise InvalidRequest(f"the message is not a valid {message_type.DESCRIPTOR.full_name}") from None


def _decode_model_spec(spec: Any) -> tuple[str, str]:
    if not spec.name:
        raise InvalidRequest("model_spec.name: missing")
    if spec.version_label:
        raise Unsupported("model_spec.version_label: version labels are not implemented")
    if spec.signature_name not in ("", DEFAULT_SIGNATURE):
        raise InvalidRequest(f"model_spec.signature_name: only {DEFAULT_SIGNATURE!r} is served")
    return spec.name, str(spec.version.value) if spec.HasField("version") else ""


def _encode_model_spec(spec: Any, model: str, version: str) -> None:
    spec.name = model
    if version.isdigit():
        spec.version.value = int(version)


def _encode_tensor_info(info: Any, spec: TensorSpec) -> None:
    info.name = f"{spec.name}:0"
    info.dtype = DT[spec.datatype]
    for size in spec.shape:
        info.tensor_shape.dim.add(size=size)


def _decode_tensor_infos(infos: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            key,
            datatype_from_number(infos[key].dtype, key),
            tuple(dim.size for dim in infos[key].tensor_shape.dim),
        )
        for key in sorted(infos)
    )
