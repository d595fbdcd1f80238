import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import tensors

from gateway.codecs import classification
from gateway.codecs.classification import classify
from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Tensor, element_count

ORDERED = tuple(set(Datatype) - {Datatype.BOOL, Datatype.BYTES})


def texts(array, count, labels=(), batched=True):
    return classify(Tensor.from_numpy("y", np.array(array)), count, labels, batched=batched).to_numpy().tolist()


def test_the_greatest_values_come_first_as_value_index_and_label():
    scores = np.array([[0.25, -1, 0.5], [3, 2, 1]], np.float32)
    assert texts(scores, 2, ("cat", "dog")) == [
        [b"0.500000:2", b"0.250000:0:cat"],  # the third has no label
        [b"3.000000:0:cat", b"2.000000:1:dog"],
    ]


def test_integers_are_written_as_integers():
    assert texts(np.array([[7, 200]], np.uint8), 2) == [[b"200:1", b"7:0"]]
    assert texts(np.array([[-(2**63), 2**63 - 1]], np.int64), 1) == [[b"9223372036854775807:1"]]


def test_equal_values_come_by_index():
    assert texts(np.array([[1, 2, 2, 1]], np.int32), 4) == [[b"2:1", b"2:2", b"1:0", b"1:3"]]


def test_values_without_a_number_come_last():
    assert texts(np.array([[np.nan, -np.inf, np.inf]]), 3)[0][0] == b"inf:2"


def test_there_are_no_more_classes_than_values():
    assert texts(np.zeros((1, 2), np.float32), 5) == [[b"0.000000:0", b"0.000000:1"]]


def test_a_model_without_a_batch_gets_one_row():
    output = classify(Tensor.from_numpy("y", np.array([[1, 2], [4, 3]])), 3, (), batched=False)
    assert (output.shape, output.to_numpy().tolist()) == ((3,), [b"4:2", b"3:3", b"2:1"])


def test_a_row_of_a_batch_may_have_any_shape():
    assert texts(np.arange(8).reshape(2, 2, 2), 1) == [[b"3:3"], [b"7:3"]]


def test_the_upper_half_of_a_float_is_a_number():
    tensor = Tensor("y", Datatype.BF16, (1, 2), b"\x00\x40\x80\xbf")
    assert classify(tensor, 2, (), batched=True).to_numpy().tolist() == [[b"2.000000:0", b"-1.000000:1"]]


@pytest.mark.parametrize("datatype", [Datatype.BYTES, Datatype.BOOL])
def test_what_has_no_order_is_refused(datatype):
    with pytest.raises(InvalidRequest, match=f"classification: {datatype} cannot be classified"):
        classify(Tensor("y", datatype, (0,), b""), 1, (), batched=True)


def test_what_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(classification, "MAX_VALUES", 3)
    with pytest.raises(InvalidRequest, match="4 values are over the limit of 3"):
        texts(np.zeros((2, 2)), 1)
    monkeypatch.undo()
    monkeypatch.setattr(classification, "MAX_TEXTS", 3)
    assert len(texts(np.zeros((3, 2)), 1)) == 3
    with pytest.raises(InvalidRequest, match="2 × 2 classes are over the limit of 3"):
        texts(np.zeros((2, 2)), 5)


@given(tensors(datatypes=ORDERED), st.integers(1, 5), st.booleans())
def test_every_tensor_gives_as_many_as_asked_for_or_all(tensor, count, batched):
    output = classify(tensor, count, ("a", "b"), batched=batched)
    batch = tensor.shape[:1] if batched else ()
    width = min(count, element_count(tensor.shape[len(batch) :]))
    assert output.shape == (*batch, width)
    rows = output.to_numpy().reshape(*(batch or (1,)), width)
    for row in rows.tolist():
        assert len({text.split(b":")[1] for text in row}) == width
