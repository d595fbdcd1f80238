"""What users' handlers are sent and answer, by each payload."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.torchserve_payload import HandlerProfile
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, InvalidRequest
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor

A, B = TensorSpec("a", Datatype.FP32, (-1, 2)), TensorSpec("b", Datatype.INT64, (-1,))
TEXT = TensorSpec("t", Datatype.BYTES, (-1,))


def profile(payload="json", inputs=(A,), outputs=(A,), **settings):
    return HandlerProfile(payload=payload, signature=Signature(inputs, outputs), **settings)


def request(**arrays):
    inputs = tuple(Tensor.from_numpy(name, np.array(array)) for name, array in arrays.items())
    return InferRequest("m", inputs, RequestContext("test"))


ROWS = np.array([[1.5, 2], [3, 4]], np.float32)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("instances", {"instances": [[1.5, 2], [3, 4]]}),
        ("data", {"data": [[1.5, 2], [3, 4]]}),
        ("rows", [[1.5, 2], [3, 4]]),
    ],
)
def test_one_input_as_json(form, expected):
    ((part,),) = profile(document=form).requests(request(a=ROWS))
    assert (part.name, json.loads(part.data), part.content_type) == ("body", expected, "application/json")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("instances", {"instances": [{"a": [1.5, 2], "t": "é"}, {"a": [3, 4], "t": ""}]}),
        ("data", {"data": {"a": [[1.5, 2], [3, 4]], "t": ["é", ""]}}),
        ("rows", [{"a": [1.5, 2], "t": "é"}, {"a": [3, 4], "t": ""}]),
    ],
)
def test_several_inputs_as_json(form, expected):
    ((part,),) = profile(inputs=(A, TEXT), document=form).requests(request(a=ROWS, t=["é", ""]))
    assert json.loads(part.data) == expected


@pytest.mark.parametrize("answer", [{"predictions": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]])
def test_rows_are_read(answer):
    (output,) = profile().outputs([json.dumps(answer).encode()], 2)
    assert output.to_numpy().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("answer", [[1, 2], [[1, 2]], {"predictions": [1, 2]}])
def test_the_answer_to_one_row_may_lack_the_batch(answer):
    (output,) = profile().outputs([json.dumps(answer).encode()], 1)
    assert output.to_numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize("answer", [{"a": [[1, 2]], "b": [3]}, [{"a": [1, 2], "b": 3}], {"a": [1, 2], "b": 3}])
def test_several_outputs_go_by_name(answer):
    a, b = profile(outputs=(A, B)).outputs([json.dumps(answer).encode()], 1)
    assert (a.to_numpy().tolist(), b.to_numpy().tolist()) == ([[1, 2]], [3])


def test_other_answers_are_texts():
    (output,) = profile(outputs=(TEXT,)).outputs([b'[{"cat": 0.5}, "as it is", [1, null]]'], 3)
    assert output.to_numpy().tolist() == [b'{"cat":0.5}', b"as it is", b"[1,null]"]
    (output,) = profile(outputs=(TEXT,)).outputs([b'{"cat": 0.5}'], 1)
    assert output.to_numpy().tolist() == [b'{"cat":0.5}']


def test_probability_by_label_becomes_scores():
    labelled = profile(labels=("cat", "dog"))
    (output,) = labelled.outputs([b'[{"dog": 0.75, "cat": 0.25}, {"dog": 1}]'], 2)
    assert output.to_numpy().tolist() == [[0.25, 0.75], [0, 1]]
    with pytest.raises(BackendError, match="fish"):
        labelled.outputs([b'[{"fish": 1}]'], 1)


@given(st.lists(st.binary(), min_size=1, max_size=4))
def test_raw_bodies_pass_untouched_there_and_back(elements):
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    raw = HandlerProfile(payload="raw", content_type="image/png")
    parts = [part for (part,) in raw.requests(request(body=array))]
    assert [bytes(part.data) for part in parts] == elements
    assert {(part.name, part.content_type) for part in parts} == {("body", "image/png")}
    (output,) = raw.outputs(elements, len(elements))
    assert (output.name, output.to_numpy().tolist()) == ("body", elements)


def test_raw_answers_may_be_rows():
    rows = profile("raw", (TEXT,))
    (output,) = rows.outputs([b"[1, 2]", b'{"predictions": [3, 4]}'], 2)
    assert output.to_numpy().tolist() == [[1, 2], [3, 4]]


def test_raw_takes_bytes_alone():
    with pytest.raises(InvalidRequest, match="BYTES is expected"):
        HandlerProfile(payload="raw").requests(request(body=ROWS))


def test_a_form_for_each_row():
    rows = profile("multipart", (A, TEXT), (TEXT,)).requests(request(a=ROWS, t=["x", "y"]))
    assert [[(part.name, bytes(part.data)) for part in row] for row in rows] == [
        [("a", b"[1.5,2.0]"), ("t", b"x")],
        [("a", b"[3.0,4.0]"), ("t", b"y")],
    ]


@pytest.mark.parametrize(
    "answer", [b"{", b"7", b'"x"', b"{}", b"[[1], [2, 3]]", b'[["x", 1]]', b"[[1, 2, 3]]", b"\xff"]
)
def test_another_answer_is_the_backends_fault(answer):
    with pytest.raises(BackendError, match="declares"):
        profile().outputs([answer], 1)
    with pytest.raises(BackendError, match="declares"):
        profile(outputs=(A, B)).outputs([answer], 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(answer=json_values, rows=st.integers(1, 3), outputs=st.sampled_from([(A,), (B,), (TEXT,), (A, B), (A, TEXT)]))
def test_any_answer_is_read_or_the_backends_fault(answer, rows, outputs):
    for labels in ((), ("a", "b")):
        with contextlib.suppress(BackendError):
            profile(outputs=outputs, labels=labels).outputs([json.dumps(answer).encode()], rows)
