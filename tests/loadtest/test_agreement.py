from __future__ import annotations

import numpy as np
import pytest

from loadtest.agreement import compare_answers


def answers(*rows: list[float]) -> list[dict[str, np.ndarray]]:
    return [{"scores": np.array([row], dtype=np.float32)} for row in rows]


def test_same_classes_agree_and_the_largest_difference_is_told() -> None:
    first, second = compare_answers([answers([1, 2], [4, 3]), answers([1.5, 2], [4, 3])], "scores")
    assert first.problem == second.problem == ""
    assert second.largest_difference == pytest.approx(0.5)


def test_the_majority_is_right() -> None:
    good, odd = answers([1, 2], [4, 3]), answers([1, 2], [3, 4])
    problems = [agreement.problem for agreement in compare_answers([odd, good, good], "scores")]
    assert problems == ["wrong answer: class 1 for sample 2, where the others say 0", "", ""]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_a_number_is_a_wrong_answer_even_with_the_right_class(value: float) -> None:
    # argmax takes the first NaN for the greatest element
    compared = compare_answers([answers([2, 1]), answers([2, 1]), answers([value, 1])], "scores")
    assert [bool(one.problem) for one in compared] == [False, False, True]


def test_without_classes_values_must_be_near() -> None:
    compared = compare_answers([answers([1, 2]), answers([1, 2.0005]), answers([1, 2.1])], "")
    assert [bool(one.problem) for one in compared] == [False, False, True]


def test_nothing_to_compare() -> None:
    assert compare_answers([], "scores") == []
