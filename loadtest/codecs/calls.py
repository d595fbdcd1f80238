"""Every wire form of a tensor, as the two calls that a front door makes: body → request, response → body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from gateway.codecs import oip_grpc, oip_http, tfs_grpc, tfs_rest, torchserve_request, torchserve_response
from gateway.codecs.packed import varint
from gateway.codecs.torchserve_parts import Part
from gateway.core.catalog import ServedModel
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor

_LIMITS = Limits()
_MODEL = "model"


@dataclass(slots=True, frozen=True)
class CodecCalls:
    """One form: ``decode`` takes a request with one input from its body, ``encode`` makes the body of an answer."""

    form: str
    decode: Callable[[], object]
    encode: Callable[[], object]


def codec_calls(tensor: Tensor) -> list[CodecCalls]:
    """The calls for ``tensor`` (FP32, with a batch dimension), one entry a form."""
    request = InferRequest(_MODEL, (tensor,), RequestContext("codecs"), version="1")
    response = InferResponse(_MODEL, "1", (tensor,))
    return [
        _oip_http("OIP HTTP, binary", request, response, binary=True),
        _oip_http("OIP HTTP, JSON", request, response, binary=False),
        _oip_grpc("OIP gRPC, raw", oip_grpc.encode_request(request), request, response),
        _oip_grpc("OIP gRPC, typed", _typed_contents(tensor), request, response),
        _tfs_rest("TF Serving REST, rows", request, response, rows=True),
        _tfs_rest("TF Serving REST, columns", request, response, rows=False),
        _tfs_grpc("TF Serving gRPC", request, response),
        _torchserve("TorchServe HTTP, JSON", request, response),
    ]


def oip_json_body(tensor: Tensor) -> bytes:
    """The JSON body of a request with ``tensor``, its data nested as clients write them."""
    entry = {"name": tensor.name, "datatype": tensor.datatype.value, "shape": tensor.shape, "data": tensor.to_numpy()}
    return orjson.dumps({"inputs": [entry]}, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_oip_json(body: bytes) -> InferRequest:
    """What the front door makes of ``oip_json_body``."""
    return oip_http.decode_request(body, None, _MODEL, "1", RequestContext("codecs"), _LIMITS)[0]


def _oip_http(form: str, request: InferRequest, response: InferResponse, *, binary: bool) -> CodecCalls:
    body, header_length = oip_http.encode_request(request, binary=binary)
    wanted = oip_http.ResponseForm(binary, {})
    return CodecCalls(
        form,
        lambda: oip_http.decode_request(body, header_length, _MODEL, "1", request.context, _LIMITS),
        lambda: oip_http.encode_response(response, wanted),
    )


def _oip_grpc(form: str, message: bytes, request: InferRequest, response: InferResponse) -> CodecCalls:
    # Answers are raw, whatever the request was.
    return CodecCalls(
        form,
        lambda: oip_grpc.decode_request(message, request.context, _LIMITS),
        lambda: oip_grpc.encode_response(response),
    )


def _tfs_rest(form: str, request: InferRequest, response: InferResponse, *, rows: bool) -> CodecCalls:
    (tensor,) = request.inputs
    signature = _signature(tensor)
    document = {"instances" if rows else "inputs": tensor.to_numpy()}
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return CodecCalls(
        form,
        lambda: tfs_rest.decode_inputs(tfs_rest.parse_predict_body(body, signature, _LIMITS), signature, _LIMITS),
        lambda: tfs_rest.encode_predict_response(response, rows=rows),
    )


def _tfs_grpc(form: str, request: InferRequest, response: InferResponse) -> CodecCalls:
    message = tfs_grpc.encode_predict_request(request)
    return CodecCalls(
        form,
        lambda: tfs_grpc.decode_predict_request(message, request.context, _LIMITS),
        lambda: tfs_grpc.encode_predict_response(response),
    )


def _torchserve(form: str, request: InferRequest, response: InferResponse) -> CodecCalls:
    (tensor,) = request.inputs
    model = ServedModel(_MODEL, "1", "", _signature(tensor), 0, (), ())
    body = orjson.dumps(tensor.to_numpy(), option=orjson.OPT_SERIALIZE_NUMPY)
    parts = [Part("body", body, "application/json")]
    wanted = torchserve_request.AnswerForm()
    return CodecCalls(
        form,
        lambda: torchserve_request.decode_parts(parts, model, request.context, _LIMITS),
        lambda: torchserve_response.encode_answer(response, wanted, model),
    )


def _signature(tensor: Tensor) -> Signature:
    specs = (TensorSpec(tensor.name, tensor.datatype, (-1, *tensor.shape[1:])),)
    return Signature(specs, specs)


def _typed_contents(tensor: Tensor) -> bytes:
    """A ModelInferRequest in the form that our own clients never send: numbers in ``fp32_contents``.

    A packed field of FP32 holds the raw form's very bytes. Field numbers are those of the protocol's proto file.
    """
    contents = _field(6, bytes(tensor.data))
    shape = _field(3, b"".join(map(varint, tensor.shape)))
    entry = _field(1, tensor.name.encode()) + _field(2, tensor.datatype.encode()) + shape + _field(5, contents)
    return _field(1, _MODEL.encode()) + _field(5, entry)


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content
