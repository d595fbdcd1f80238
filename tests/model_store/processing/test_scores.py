import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model_store.processing.scores import Class, softmax, top_classes
from model_store.processing.steps import Softmax, TopK

SCORES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
)


def test_the_best_come_first_with_their_labels():
    scores = np.array([[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]], np.float32)
    first, second = top_classes(scores, (TopK("y", 2),), ["cat", "dog"])
    assert first == [Class(1, "dog", 0.5), Class(0, "cat", 0.25)]  # of equals, the first
    assert second == [Class(2, "2", 1.0), Class(0, "cat", 0.0)]


def test_without_top_k_there_are_no_classes():
    scores = np.zeros((1, 3))
    assert top_classes(scores, (), []) == top_classes(scores, (Softmax("y"),), []) == []


def test_more_than_there_are_gives_all():
    assert len(top_classes(np.zeros((1, 3)), (TopK("y", 9),), [])[0]) == 3


@given(SCORES)
def test_softmax_gives_probabilities_and_keeps_the_order(scores):
    values = softmax(scores.astype(np.float64))
    np.testing.assert_allclose(values.sum(-1), 1)
    assert (values >= 0).all()
    for row, given_row in zip(values, scores, strict=True):
        assert row[given_row.argmax()] == row.max()


@given(SCORES, st.integers(1, 8))
def test_every_row_is_sorted_by_probability(scores, k):
    rows = top_classes(scores, (Softmax("y"), TopK("y", k)), [])
    assert len(rows) == len(scores)
    for row in rows:
        assert len(row) == min(k, scores.shape[1])
        probabilities = [found.probability for found in row]
        assert probabilities == sorted(probabilities, reverse=True)
        assert len({found.index for found in row}) == len(row)
