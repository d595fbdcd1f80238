"""The seven ways to say the same thing: each message format over each transport that carries it.

A request becomes the bytes of one target before the clock starts; an answer becomes tensors when somebody wants to look
at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from gateway.codecs import oip_grpc, oip_http, tfs_grpc, tfs_rest_client, torchserve_grpc
from gateway.codecs.tfs_json import NO_JSON_FORM
from gateway.codecs.torchserve_parts import BODY, Part
from gateway.codecs.torchserve_payload import JSON_CAPABILITIES
from gateway.codecs.torchserve_request import CONTENT_TYPE, takes_whole_bodies
from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.tensors import Tensor, join_bytes, split_bytes
from loadtest.payloads.workload import Payload
from loadtest.targets.target import Protocol, Wire

_TFS_JSON = Capabilities(NO_JSON_FORM, one_nan="JSON has one token for every NaN")
_BINARY = "application/octet-stream"
_JSON = "application/json"

Decode = Callable[[Payload, bytes, int | None], InferResponse]


@dataclass(slots=True, frozen=True)
class Message:
    """One encoded request. ``path`` and ``headers`` are HTTP's; a gRPC message has neither."""

    body: bytes
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Form:
    """One way of saying it.

    Attributes:
        label: transport and format for people, such as ``HTTP JSON``.
        encode: raises GatewayError where a payload has no such form.
        decode: of the payload that was asked with, the body and the length of an OIP body's header; GatewayError when
            the answer breaks the protocol. Formats without datatypes take them from the payload's model.
        method: of gRPC; empty over HTTP.
        carries: what the format can carry.
        typed: answers name their datatypes; where they do not, the model's outputs must be known.
    """

    label: str
    encode: Callable[[Payload], Message]
    decode: Decode
    method: str = ""
    carries: Capabilities = EVERYTHING
    typed: bool = True


# ---- Open Inference Protocol


def _oip_binary(payload: Payload) -> Message:
    return _oip_message(payload.request, oip_http.infer_path(payload.request.model, payload.request.version))


def _oip_message(request: InferRequest, path: str) -> Message:
    body, length = oip_http.encode_request(request)
    if length is None:
        return Message(body, path, {"content-type": _JSON})
    return Message(body, path, {"content-type": _BINARY, oip_http.HEADER_LENGTH: str(length)})


def _oip_json(payload: Payload) -> Message:
    request = payload.request
    body, _ = oip_http.encode_request(request, binary=False)
    return Message(body, oip_http.infer_path(request.model, request.version), {"content-type": _JSON})


def _read_oip(_: Payload, body: bytes, header_length: int | None) -> InferResponse:
    return oip_http.decode_response(body, header_length)


def _oip_call(payload: Payload) -> Message:
    return Message(oip_grpc.encode_request(payload.request))


def _read_oip_call(_: Payload, body: bytes, __: int | None) -> InferResponse:
    return oip_grpc.decode_response(body)


# ---- TensorFlow Serving


def _tfs_rest(payload: Payload) -> Message:
    request = payload.request
    path = f"{tfs_rest_client.model_path(request.model, quote(request.version, safe=''))}:predict"
    return Message(tfs_rest_client.encode_predict_request(request), path, {"content-type": _JSON})


def _read_tfs_rest(payload: Payload, body: bytes, _: int | None) -> InferResponse:
    document = tfs_rest_client.decode_document(body)
    outputs = tfs_rest_client.decode_outputs(document, payload.model.signature)
    return InferResponse(payload.request.model, payload.request.version, outputs)


def _tfs_call(payload: Payload) -> Message:
    return Message(tfs_grpc.encode_predict_request(payload.request))


def _read_tfs_call(_: Payload, body: bytes, __: int | None) -> InferResponse:
    return tfs_grpc.decode_predict_response(body)


# ---- TorchServe: OIP bodies for the model store's archives, else bodies as the user's own handlers take them


def _torchserve(payload: Payload) -> Message:
    request = payload.request
    path = f"/predictions/{quote(request.model, safe='')}"
    if request.version:
        path += f"/{quote(request.version, safe='')}"
    if takes_whole_bodies(payload.model.signature):
        content_type = str(request.parameters.get(CONTENT_TYPE, _BINARY))
        return Message(_whole_body(request), path, {"content-type": content_type})
    return _oip_message(request, path)


def _read_torchserve(payload: Payload, body: bytes, header_length: int | None) -> InferResponse:
    if takes_whole_bodies(payload.model.signature):
        return _whole_answer(payload, body)
    return oip_http.decode_response(body, header_length)


def _torchserve_call(payload: Payload) -> Message:
    request = payload.request
    if takes_whole_bodies(payload.model.signature):
        parts = [Part(BODY, _whole_body(request))]
    else:
        body, length = oip_http.encode_request(request)
        parts = [Part(BODY, body)]
        if length is not None:
            # gRPC carries no headers of a body: the length travels in a part of its own.
            parts.append(Part(oip_http.HEADER_LENGTH, str(length).encode()))
    return Message(torchserve_grpc.encode_predictions(request.model, request.version, parts))


def _read_torchserve_call(payload: Payload, body: bytes, _: int | None) -> InferResponse:
    prediction = torchserve_grpc.decode_prediction(body)
    if takes_whole_bodies(payload.model.signature):
        return _whole_answer(payload, prediction)
    return oip_http.decode_response(*torchserve_grpc.unframe_oip(prediction))


def _whole_body(request: InferRequest) -> bytes:
    return split_bytes(request.inputs[0].data, BODY)[0]


def _whole_answer(payload: Payload, body: bytes) -> InferResponse:
    (spec,) = payload.model.signature.outputs
    output = Tensor(spec.name, spec.datatype, (1,), join_bytes((body,)))
    return InferResponse(payload.request.model, payload.request.version, (output,))


FORMS: Mapping[tuple[Wire, Protocol], Form] = {
    ("oip", "HTTP"): Form("OIP HTTP", _oip_binary, _read_oip),
    ("oip-json", "HTTP"): Form("HTTP JSON", _oip_json, _read_oip, carries=JSON_CAPABILITIES),
    ("oip", "gRPC"): Form("OIP gRPC", _oip_call, _read_oip_call, oip_grpc.INFER_METHOD),
    ("tfserving", "HTTP"): Form("TFS REST", _tfs_rest, _read_tfs_rest, carries=_TFS_JSON, typed=False),
    ("tfserving", "gRPC"): Form("TFS gRPC", _tfs_call, _read_tfs_call, tfs_grpc.PREDICT_METHOD),
    ("torchserve", "HTTP"): Form("TS HTTP", _torchserve, _read_torchserve),
    ("torchserve", "gRPC"): Form(
        "TS gRPC", _torchserve_call, _read_torchserve_call, torchserve_grpc.PREDICTIONS_METHOD
    ),
}
