"""Requests of TorchServe clients: whatever comes is understood or refused in our own words."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.torchserve_parts import Part
from gateway.codecs.torchserve_request import decode_parts, decode_whole, takes_whole_bodies
from gateway.core.catalog import ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.core.limits import Limits
from gateway.core.messages import RequestContext
from gateway.core.signatures import Signature, TensorSpec

TWO = TensorSpec("x", Datatype.FP32, (-1, 2))
TEXT = TensorSpec("t", Datatype.BYTES, (-1,))


async def prepare(_):
    raise AssertionError("it is asked later")


def model(*inputs, takes="tensors"):
    return ServedModel(
        "m",
        "1",
        "",
        Signature(inputs, (TensorSpec("y", Datatype.FP32, (-1, 2)),)),
        8,
        (),
        (),
        takes=takes,
        prepare=None if takes == "tensors" else prepare,
    )


def decode(served, *parts):
    return decode_parts(parts, served, RequestContext("test"), Limits())


def decode_json(served, document):
    return decode(served, Part("body", json.dumps(document).encode(), "application/json"))


MODELS = [
    model(TWO),
    model(TWO, TensorSpec("n", Datatype.INT64, (-1,))),
    model(TEXT),
    model(TWO, takes="pictures"),
    model(TWO, takes="texts"),
    model(TensorSpec("s", Datatype.BOOL, ())),
    model(TensorSpec("h", Datatype.FP16, (-1, 2))),
    model(),
]
keys = st.sampled_from(
    ["x", "n", "t", "data", "body", "instances", "inputs", "b64", "name", "shape", "datatype", "other"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("QUJD")
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)


@given(served=st.sampled_from(MODELS), document=documents)
def test_any_document_is_a_request_or_refused(served, document):
    try:
        request, _ = decode_json(served, document)
    except GatewayError as error:
        assert isinstance(error, InvalidRequest) or "shared memory" in error.message
    else:
        assert request.model == "m"


@given(
    served=st.sampled_from(MODELS),
    entries=st.lists(st.tuples(keys, st.binary(max_size=9) | st.just(b"[1, 2]"), st.sampled_from(["", "text/plain"]))),
)
def test_any_parts_are_a_request_or_refused(served, entries):
    with contextlib.suppress(InvalidRequest):
        decode(served, *(Part(*entry) for entry in entries))


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1)
)
def test_rows_come_as_they_are_in_every_form(rows):
    for document in (rows, {"data": rows}, {"instances": rows}, {"x": rows}, {"body": {"x": rows}}):
        request, form = decode_json(MODELS[0], document)
        (x,) = request.inputs
        assert x.to_numpy().tolist() == rows
        assert not form.single
        assert form.predictions is ("instances" in document)
    request, form = decode_json(MODELS[0], rows[0])
    assert request.inputs[0].to_numpy().tolist() == rows[:1]
    assert form.single


def test_texts_and_pictures_in_json():
    assert decode_json(MODELS[4], ["QUJD"])[0].inputs[0].to_numpy().tolist() == [b"QUJD"]
    assert decode_json(MODELS[3], ["QUJD"])[0].inputs[0].to_numpy().tolist() == [b"ABC"]
    assert decode_json(MODELS[4], [{"b64": "QUJD"}])[0].inputs[0].to_numpy().tolist() == [b"ABC"]
    assert decode_json(MODELS[2], "QUJD")[0].inputs[0].to_numpy().tolist() == [b"QUJD"]
    for served in MODELS[3:5]:
        request, form = decode_json(served, "QUJD")
        assert request.inputs[0].name != "x"  # that is what has it prepared
        assert form.classes
        assert form.single


def test_plain_text_is_never_json():
    request, _ = decode(MODELS[2], Part("body", b"[1]", "text/plain"))
    assert request.inputs[0].to_numpy().tolist() == [b"[1]"]
    with pytest.raises(InvalidRequest):
        decode(MODELS[2], Part("body", b"[1]"))


def test_a_model_called_for_whole_bodies_gets_them():
    body = TensorSpec("body", Datatype.BYTES, (-1,))
    assert takes_whole_bodies(Signature((body,), (body,)))
    assert not takes_whole_bodies(Signature((TEXT,), (TEXT,)))
    assert not takes_whole_bodies(Signature((body, TEXT), (TEXT,)))
    request, form = decode_whole(b"{", "application/json", model(body), RequestContext("test"))
    assert request.inputs[0].to_numpy().tolist() == [b"{"]
    assert request.parameters == {"content_type": "application/json"}
    assert form.whole
