import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import names

from gateway.codecs import tfs_metadata as codec
from gateway.codecs.tfs_model_spec import ModelQuery
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, GatewayError, InvalidRequest
from gateway.core.signatures import Signature, TensorSpec
from gateway.protos.loader import message_class

Request = message_class("tensorflow.serving.GetModelMetadataRequest")
Response = message_class("tensorflow.serving.GetModelMetadataResponse")
SignatureDefMap = message_class("tensorflow.serving.SignatureDefMap")

specs = st.builds(
    TensorSpec,
    names,
    st.sampled_from(Datatype),
    st.lists(st.integers(-1, 2**31), max_size=4).map(tuple),
)
sides = st.lists(specs, max_size=3, unique_by=lambda spec: spec.name).map(
    lambda side: tuple(sorted(side, key=lambda spec: spec.name))
)
signatures = st.dictionaries(
    names, st.builds(Signature, sides, sides, st.sampled_from(["predict", "classify", "regress"])), max_size=3
)


@given(signatures)
def test_signatures_round_trip_over_grpc_and_rest(known):
    assert codec.decode_metadata_response(codec.encode_metadata_response("m", "1", known)) == known
    document = json.loads(json.dumps(codec.metadata_document("m", "1", known)))
    assert codec.decode_metadata_document(document) == known


def test_requests_round_trip():
    query = ModelQuery("m", "7")
    assert codec.decode_metadata_request(codec.encode_metadata_request(query)) == query


@pytest.mark.parametrize("fields", [[], ["other"], ["signature_def", "other"]])
def test_there_is_one_field_only(fields):
    request = Request(metadata_field=fields)
    request.model_spec.name = "m"
    with pytest.raises(InvalidRequest, match="metadata_field"):
        codec.decode_metadata_request(request.SerializeToString())


def learned(**definitions):
    message = Response()
    whole = SignatureDefMap()
    for name, fill in definitions.items():
        fill(whole.signature_def[name])
    message.metadata["signature_def"].Pack(whole)
    return codec.decode_metadata_response(message.SerializeToString())


def initialiser(definition):
    # As every SavedModel of TensorFlow 2 has it.
    definition.outputs["__saved_model_init_op"].tensor_shape.unknown_rank = True


def unknown_rank(definition):
    definition.inputs["x"].dtype = 1
    definition.inputs["x"].tensor_shape.unknown_rank = True


def with_default(definition):
    definition.inputs["x"].dtype = 1
    definition.inputs["x"].tensor_shape.SetInParent()
    definition.defaults["x"].dtype = 1


def test_what_cannot_be_served_says_why():
    known = learned(a=initialiser, b=unknown_rank)
    assert "TensorFlow datatype 0" in known["a"]
    assert "inputs['x']: its number of dimensions is not known" in known["b"]


def test_an_input_with_a_default_may_be_left_out():
    assert learned(a=with_default)["a"].inputs == (TensorSpec("x", Datatype.FP32, (), optional=True),)


def test_the_default_signature():
    one = Signature((), ())
    assert codec.default_name({"a": one, "serving_default": one}) == "serving_default"
    assert codec.default_name({"b": one, "a": "why", "c": one}) == "b"
    assert codec.default_name({"a": "why"}) == ""


@pytest.mark.parametrize("document", [None, {}, {"metadata": 3}, {"metadata": {"signature_def": {"signature_def": 1}}}])
def test_a_broken_document_is_the_backends_fault(document):
    with pytest.raises(BackendError):
        codec.decode_metadata_document(document)


@given(st.binary(max_size=100))
def test_garbage_never_raises_anything_but_our_errors(data):
    for call in (codec.decode_metadata_request, codec.decode_metadata_response):
        try:
            call(data)
        except GatewayError as error:
            assert error.message
