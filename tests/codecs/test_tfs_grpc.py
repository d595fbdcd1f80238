import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import requests, responses

from gateway.codecs import tfs_grpc as codec
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, GatewayError, InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.protos.loader import message_class

CONTEXT = RequestContext("test", started=0.0)
PredictRequest = message_class("tensorflow.serving.PredictRequest")


def decode(data, limits=Limits()):
    return codec.decode_predict_request(data, CONTEXT, limits)


@given(requests())
def test_requests_round_trip_but_for_what_the_protocol_lacks(request):
    decoded = decode(codec.encode_predict_request(request))
    assert {tensor.name: tensor for tensor in decoded.inputs} == {tensor.name: tensor for tensor in request.inputs}
    assert (decoded.model, decoded.version, decoded.outputs) == (request.model, request.version, request.outputs)


@given(responses())
def test_responses_round_trip_in_alphabetical_order(response):
    decoded = codec.decode_predict_response(codec.encode_predict_response(response))
    assert decoded.outputs == tuple(sorted(response.outputs, key=lambda tensor: tensor.name))
    assert (decoded.model, decoded.version) == (response.model, response.version)


def spec(**fields):
    message = PredictRequest()
    for name, value in fields.items():
        setattr(message.model_spec, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "kind", "problem"),
    [
        (spec(), InvalidRequest, r"model_spec\.name: missing"),
        (spec(name="m", version_label="stable"), Unsupported, "version_label"),
        (spec(name="m", signature_name="other"), InvalidRequest, "signature_name"),
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


def test_metadata_round_trips():
    signature = Signature(
        (TensorSpec("a", Datatype.INT64, (-1, 3)), TensorSpec("b", Datatype.BYTES, ())),
        (TensorSpec("y", Datatype.FP16, (-1,)),),
    )
    assert codec.decode_metadata_response(codec.encode_metadata_response("m", "1", signature)) == signature


def test_metadata_knows_one_field_only():
    request = message_class("tensorflow.serving.GetModelMetadataRequest")(metadata_field=["other"])
    request.model_spec.name = "m"
    with pytest.raises(InvalidRequest, match="signature_def"):
        codec.decode_metadata_request(request.SerializeToString())


@pytest.mark.parametrize(
    ("versions", "available"), [([], False), ([(1, False)], False), ([(1, False), (2, True)], True)]
)
def test_status_round_trips(versions, available):
    assert codec.decode_status_response(codec.encode_status_response(versions)) is available
    assert codec.decode_status_request(codec.encode_status_request("m")) == ("m", "")


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_but_our_errors(data):
    for call in (decode, codec.decode_predict_response, codec.decode_status_response, codec.decode_status_request):
        try:
            call(data)
        except GatewayError as error:
            assert error.message


def test_a_broken_answer_is_the_backends_fault():
    with pytest.raises(BackendError, match="breaks the protocol"):
        codec.decode_predict_response(b"\xff\xff")
