import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import requests, responses

from gateway.codecs import tfs_grpc as codec
from gateway.core.errors import BackendError, GatewayError, InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.core.messages import RequestContext
from gateway.protos.loader import message_class

CONTEXT = RequestContext("test", started=0.0)
PredictRequest = message_class("tensorflow.serving.PredictRequest")
PredictResponse = message_class("tensorflow.serving.PredictResponse")


def decode(data, limits=Limits()):
    return codec.decode_predict_request(data, CONTEXT, limits)


@given(requests(), st.sampled_from(["", "serving_default", "other"]))
def test_requests_round_trip_but_for_what_the_protocol_lacks(request, signature):
    request.signature = signature
    decoded = decode(codec.encode_predict_request(request))
    assert {tensor.name: tensor for tensor in decoded.inputs} == {tensor.name: tensor for tensor in request.inputs}
    assert (decoded.model, decoded.version, decoded.outputs) == (request.model, request.version, request.outputs)
    assert decoded.signature == (signature or "serving_default")


def test_a_label_round_trips():
    message = PredictRequest()
    message.model_spec.name, message.model_spec.version_label = "m", "stable"
    decoded = decode(message.SerializeToString())
    assert (decoded.version, decoded.label, decoded.signature) == ("", "stable", "")


@given(responses())
def test_responses_round_trip_in_alphabetical_order(response):
    decoded = codec.decode_predict_response(codec.encode_predict_response(response, "sig"))
    assert decoded.outputs == tuple(sorted(response.outputs, key=lambda tensor: tensor.name))
    assert (decoded.model, decoded.version) == (response.model, response.version)


@pytest.mark.parametrize("version", ["", "v2", "\u00b2", str(2**63), "9" * 40])
@given(response=responses())
def test_a_version_that_is_no_number_is_left_out(version, response):
    response.version = version
    message = PredictResponse.FromString(codec.encode_predict_response(response))
    assert not message.model_spec.HasField("version")


def spec(**fields):
    message = PredictRequest()
    for name, value in fields.items():
        setattr(message.model_spec, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "kind", "problem"),
    [
        (PredictRequest(), InvalidRequest, "model_spec: Missing ModelSpec"),
        (spec(signature_name="s"), InvalidRequest, r"model_spec\.name"),
    ],
)
def test_bad_specs_name_the_field(message, kind, problem):
    with pytest.raises(kind, match=problem):
        decode(message.SerializeToString())


def test_limits_are_kept():
    message = spec(name="m")
    message.inputs["x"].dtype = 1
    message.inputs["x"].float_val.append(1)
    message.inputs["x"].tensor_shape.dim.add(size=5)
    data = message.SerializeToString()
    assert decode(data).inputs[0].shape == (5,)
    with pytest.raises(PayloadTooLarge):
        decode(data, Limits(elements=4))
    with pytest.raises(PayloadTooLarge):
        decode(data, Limits(tensors=0))


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_but_our_errors(data):
    for call in (decode, codec.decode_predict_response):
        try:
            call(data)
        except GatewayError as error:
            assert error.message


def test_a_broken_answer_is_the_backends_fault():
    with pytest.raises(BackendError, match="breaks the protocol"):
        codec.decode_predict_response(b"\xff\xff")
