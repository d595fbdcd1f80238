from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.load_servers import payload_of
from support.strategies import json_tensors, requests, responses, tensors

from gateway.codecs import oip_grpc, oip_http, tfs_grpc, tfs_rest, torchserve_grpc
from gateway.codecs.torchserve_parts import BODY
from gateway.codecs.torchserve_payload import WHOLE_BODIES
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, join_bytes
from loadtest.payloads.workload import MeasuredModel, Payload
from loadtest.targets.wires import FORMS, Message

LIMITS = Limits()
TYPED = [key for key, form in FORMS.items() if form.typed]


def specs(given: tuple[Tensor, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tensor.name, tensor.datatype, (-1,) * len(tensor.shape)) for tensor in given)


def payload_with(request: InferRequest, response: InferResponse) -> Payload:
    model = MeasuredModel(request.model, "", Signature(specs(request.inputs), specs(response.outputs)), "", {})
    return Payload(model, request, "any")


# What a server of each kind makes of a message, and how it answers.


def oip_http_server(message: Message, response: InferResponse) -> tuple[InferRequest, bytes, int | None]:
    context = RequestContext("test")
    length = oip_http.parse_header_length(message.headers.get(oip_http.HEADER_LENGTH))
    _, _, _, model, *versions = message.path.split("/")
    version = unquote(versions[1]) if versions[0] == "versions" else ""
    request, form = oip_http.decode_request(message.body, length, unquote(model), version, context, LIMITS)
    return request, *oip_http.encode_response(response, form)


def oip_grpc_server(message: Message, response: InferResponse) -> tuple[InferRequest, bytes, None]:
    request, _ = oip_grpc.decode_request(message.body, RequestContext("test"), LIMITS)
    return request, oip_grpc.encode_response(response), None


def tfs_grpc_server(message: Message, response: InferResponse) -> tuple[InferRequest, bytes, None]:
    request = tfs_grpc.decode_predict_request(message.body, RequestContext("test"), LIMITS)
    return request, tfs_grpc.encode_predict_response(response), None


def torchserve_http_server(message: Message, response: InferResponse) -> tuple[InferRequest, bytes, int | None]:
    _, predictions, model, *version = message.path.split("/")
    assert predictions == "predictions"
    length = oip_http.parse_header_length(message.headers[oip_http.HEADER_LENGTH])
    context = RequestContext("test")
    request, form = oip_http.decode_request(message.body, length, unquote(model), "".join(version), context, LIMITS)
    return request, *oip_http.encode_response(response, form)


def torchserve_grpc_server(message: Message, response: InferResponse) -> tuple[InferRequest, bytes, None]:
    call = torchserve_grpc.decode_predictions(message.body, LIMITS)
    parts = {part.name: bytes(part.data) for part in call.parts}
    length = int(parts[oip_http.HEADER_LENGTH])
    context = RequestContext("test")
    request, form = oip_http.decode_request(parts[BODY], length, call.model, call.version, context, LIMITS)
    framed = torchserve_grpc.frame_oip(*oip_http.encode_response(response, form))
    return request, torchserve_grpc.encode_prediction(framed), None


SERVERS: dict[tuple[str, str], Any] = {
    ("oip", "HTTP"): oip_http_server,
    ("oip-json", "HTTP"): oip_http_server,
    ("oip", "gRPC"): oip_grpc_server,
    ("tfserving", "gRPC"): tfs_grpc_server,
    ("torchserve", "HTTP"): torchserve_http_server,
    ("torchserve", "gRPC"): torchserve_grpc_server,
}


@pytest.mark.parametrize("key", TYPED)
@settings(max_examples=30)
@given(st.data())
def test_what_is_sent_and_answered_arrives_bit_for_bit(key: Any, data: st.DataObject) -> None:
    of = json_tensors() if key[0] == "oip-json" else tensors()
    request, response = data.draw(requests(of)), data.draw(responses(of))
    payload = payload_with(request, response)
    arrived, body, length = SERVERS[key](FORMS[key].encode(payload), response)
    assert (arrived.model, arrived.version) == (request.model, request.version)
    answer = FORMS[key].decode(payload, body, length)
    if key == ("tfserving", "gRPC"):  # its tensors travel in a map, which has no order
        assert sorted(arrived.inputs, key=lambda each: each.name) == sorted(request.inputs, key=lambda each: each.name)
        assert answer.outputs == tuple(sorted(response.outputs, key=lambda each: each.name))
    else:
        assert (arrived.inputs, answer.outputs) == (request.inputs, response.outputs)


def rest_tensors() -> st.SearchStrategy[Tensor]:
    def fits(tensor: Tensor) -> bool:
        return tensor.datatype is not Datatype.UINT16 and 0 not in tensor.shape

    return json_tensors().filter(fits)


@settings(max_examples=30)
@given(requests(rest_tensors()), responses(rest_tensors()))
def test_tensorflow_serving_rest_takes_the_datatypes_from_the_model(
    request: InferRequest, response: InferResponse
) -> None:
    payload = payload_with(request, response)
    signature = payload.model.signature
    message = FORMS["tfserving", "HTTP"].encode(payload)
    versions = f"/versions/{request.version}" if request.version else ""
    assert unquote(message.path) == f"/v1/models/{request.model}{versions}:predict"
    body = tfs_rest.parse_predict_body(message.body, signature, LIMITS)
    arrived = tfs_rest.decode_inputs(body, signature, LIMITS)
    assert {tensor.name: tensor for tensor in arrived} == {tensor.name: tensor for tensor in request.inputs}
    answer = tfs_rest.encode_predict_response(response, rows=False)
    assert FORMS["tfserving", "HTTP"].decode(payload, answer, None).outputs == response.outputs


@pytest.mark.parametrize("body", [b"", b"\x00garbage", b"{", b"[]", b"null", b"\xff\xff\xff"])
@pytest.mark.parametrize("key", FORMS)
def test_an_answer_that_breaks_the_protocol_is_an_error_of_the_backend(key: Any, body: bytes) -> None:
    payload = payload_of(
        MeasuredModel("m", "", Signature((), (TensorSpec("y", Datatype.FP32, (-1, 2)),)), "", {}),
        [Tensor("x", Datatype.FP32, (1,), bytes(4))],
    )
    if key in (("oip", "gRPC"), ("tfserving", "gRPC")) and body == b"":
        assert FORMS[key].decode(payload, body, None).outputs == ()  # protobuf's empty message
    else:
        with pytest.raises(BackendError, match="breaks the protocol"):
            FORMS[key].decode(payload, body, None)


@pytest.mark.parametrize("protocol", ["HTTP", "gRPC"])
def test_a_model_that_nothing_describes_gets_bodies_as_they_are(protocol: Any) -> None:
    model = MeasuredModel("my model", "", WHOLE_BODIES, "", {})
    picture = Tensor(BODY, Datatype.BYTES, (1,), join_bytes([b"\x89PNG"]))
    payload = payload_of(model, [picture], parameters={"content_type": "image/png"}, version="1.5")
    form = FORMS["torchserve", protocol]
    message = form.encode(payload)
    if protocol == "HTTP":
        assert (message.path, message.body) == ("/predictions/my%20model/1.5", b"\x89PNG")
        assert message.headers == {"content-type": "image/png"}
        answer = b'{"cat": 0.9}'
    else:
        call = torchserve_grpc.decode_predictions(message.body, LIMITS)
        assert (call.model, call.version) == ("my model", "1.5")
        assert [(part.name, part.data) for part in call.parts] == [(BODY, b"\x89PNG")]
        answer = torchserve_grpc.encode_prediction(b'{"cat": 0.9}')
    (output,) = form.decode(payload, answer, None).outputs
    assert output.to_numpy().tolist() == [b'{"cat": 0.9}']
