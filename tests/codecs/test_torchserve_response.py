"""Answers to TorchServe clients."""

import json

import numpy as np
import pytest

from gateway.codecs.torchserve_request import AnswerForm
from gateway.codecs.torchserve_response import encode_answer
from gateway.core.catalog import ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, Unsupported
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature
from gateway.core.tensors import Tensor, join_bytes

MODEL = ServedModel("m", "1", "", Signature((), ()), 0, (), ())


def answer(*outputs, form=AnswerForm(), **parameters):
    body, content_type, length = encode_answer(InferResponse("m", "1", outputs, parameters=parameters), form, MODEL)
    assert length is None
    return body, content_type


def rows(name, *values, dtype=np.float32):
    return Tensor.from_numpy(name, np.array(values, dtype))


def texts(*elements, shape=None):
    return Tensor("t", Datatype.BYTES, shape or (len(elements),), join_bytes(elements))


@pytest.mark.parametrize(
    ("outputs", "form", "document"),
    [
        ((rows("y", [0.1, 2]),), AnswerForm(), [[0.1, 2.0]]),
        ((rows("y", [0.1, 2]),), AnswerForm(single=True), [0.1, 2.0]),
        ((rows("y", [0.1, 2]),), AnswerForm(predictions=True), {"predictions": [[0.1, 2.0]]}),
        ((rows("y", 7, dtype=np.int64),), AnswerForm(single=True), 7),
        ((rows("y", True, False, dtype=bool),), AnswerForm(), [True, False]),
        ((rows("a", 1), rows("b", 2)), AnswerForm(), {"a": [1.0], "b": [2.0]}),
        ((rows("a", 1), rows("b", 2)), AnswerForm(predictions=True), {"predictions": [{"a": 1.0, "b": 2.0}]}),
        ((texts("x", "é"),), AnswerForm(), ["x", "é"]),
        ((texts("x", "y", shape=(1, 2)),), AnswerForm(single=True), ["x", "y"]),
        ((Tensor("y", Datatype.FP32, (), b"\0\0\0\0"),), AnswerForm(), 0.0),
        ((Tensor("y", Datatype.FP32, (0, 2), b""),), AnswerForm(), []),
    ],
)
def test_outputs_as_json(outputs, form, document):
    body, content_type = answer(*outputs, form=form)
    assert (json.loads(body), content_type) == (document, "application/json")


@pytest.mark.parametrize(
    "output", [rows("y", np.nan), rows("y", np.inf), rows("y", 1, dtype=np.float16), texts(b"\xff")]
)
def test_what_json_cannot_hold_is_refused(output):
    with pytest.raises(Unsupported):
        answer(output)


@pytest.mark.parametrize(
    ("told", "given"), [("image/png", "image/png"), ("a\r\nX: y", ""), (7, ""), ("", ""), ("x" * 300, ""), ("é", "")]
)
def test_a_whole_body_and_its_type(told, given):
    assert answer(texts(b"\0{"), form=AnswerForm(whole=True), content_type=told) == (b"\0{", given)


def test_a_body_is_one_element():
    for output in (texts(b"a", b"b"), texts(), rows("y", 1)):
        with pytest.raises(BackendError):
            answer(output, form=AnswerForm(whole=True))
