"""Accuracy is a share of right answers; the labelled inputs survive the way into the model."""

import numpy as np
import pytest

from model_store.definitions.base import Evaluation
from model_store.exporters.prepare import write_evaluation
from model_store.measure import accuracy, load_evaluation


class Echo:
    """Answers with its input as scores, and keeps the sizes of the batches it got."""

    def __init__(self):
        self.batches = []

    def run(self, inputs):
        self.batches.append(len(inputs["x"]))
        return {"scores": inputs["x"], "other": np.zeros(len(inputs["x"]))}


def labelled(classes, right):
    """Rows that score ``right`` highest, and ``classes`` as the truth."""
    return Evaluation({"x": np.eye(4, dtype=np.float32)[right]}, np.array(classes))


@pytest.mark.parametrize(
    ("classes", "answers", "share"),
    [([0, 1, 2, 3], [0, 1, 2, 3], 1.0), ([0, 1, 2, 3], [0, 1, 2, 0], 0.75), ([0, 0, 0], [1, 1, 1], 0.0)],
)
def test_accuracy_is_the_share_of_right_answers(classes, answers, share):
    assert accuracy(Echo(), labelled(classes, answers), "scores") == share


def test_accuracy_is_rounded_to_four_places():
    assert accuracy(Echo(), labelled([0, 0, 0], [0, 1, 1]), "scores") == 0.3333


def test_rows_are_run_in_batches_and_the_last_may_be_smaller():
    echo = Echo()
    assert accuracy(echo, labelled([1] * 7, [1] * 7), "scores", batch=3) == 1.0
    assert echo.batches == [3, 3, 1]


def test_scores_may_have_dimensions_of_one_more():
    class Deep(Echo):
        def run(self, inputs):
            return {"scores": inputs["x"][:, :, None, None]}

    assert accuracy(Deep(), labelled([2, 3], [2, 3]), "scores") == 1.0


def test_the_evaluation_set_is_read_as_it_was_written(tmp_path):
    assert load_evaluation(tmp_path) is None
    written = Evaluation({"a": np.ones((2, 3), np.float32), "b": np.zeros((2, 1), np.int64)}, np.array([4, 5]))
    write_evaluation(tmp_path, written)
    read = load_evaluation(tmp_path)
    assert read.classes.tolist() == [4, 5]
    assert {name: (array.dtype, array.shape) for name, array in read.inputs.items()} == {
        name: (array.dtype, array.shape) for name, array in written.inputs.items()
    }
