import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import ParityFailed
from model_store.parity.compare import compare
from model_store.parity.tolerance import Tolerance
from model_store.parity.verdict import check

F32 = np.float32


def spec(name, datatype, *shape):
    return TensorSpec(name, datatype, shape)


def signature(*outputs):
    return Signature((spec("x", Datatype.FP32, -1, 3),), outputs)


def scored(source, engine, labels=None, tolerance=None, scores_output="scores"):
    outputs = [spec("scores", Datatype.FP32, -1, np.shape(source)[1])]
    answers = {"source": {"s": {"scores": F32(source)}}, "engine": {"s": {"scores": F32(engine)}}}
    if labels is not None:
        outputs.append(spec("label", Datatype.INT64, -1))
        for name, label in zip(answers, labels, strict=True):
            answers[name]["s"]["label"] = np.array(label, np.int64)
    return compare(answers, signature(*outputs), tolerance or Tolerance(absolute=0.1), scores_output)


def test_another_winner_counts_unless_the_two_are_nearly_tied():
    (found,) = scored([[1.0, 0.95, 0], [1.0, 0.5, 0]], [[0.95, 1.0, 0], [0.5, 1.0, 0]])
    assert found.top1 == 0.5
    assert not found.passed


@pytest.mark.parametrize(("needed", "passed"), [(0.9, True), (0.95, False)])
def test_rows_are_counted_over_all_sets_together(needed, passed):
    source, torn = F32([[0.15, 0]]), F32([[0.07, 0.08]])  # within 0.1, but no tie
    answers = {
        "source": {f"s{index}": {"y": source} for index in range(10)},
        "engine": {f"s{index}": {"y": torn if index == 3 else source} for index in range(10)},
    }
    found = compare(answers, signature(spec("y", Datatype.FP32, -1, 2)), Tolerance(absolute=0.1, top1=needed), "y")
    assert [difference.top1 for difference in found] == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert [difference.passed for difference in found] == [True] * 3 + [passed] + [True] * 6


def test_without_a_scores_output_classes_are_information():
    (found,) = scored([[1.0, 0.85]], [[0.92, 0.93]], scores_output=None)
    assert (found.top1, found.top1_needed, found.passed) == (0.0, 0.0, True)
    (found,) = scored([[1.0, 0.85]], [[0.92, 0.93]])
    assert (found.top1, found.top1_needed, found.passed) == (0.0, 1.0, False)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5]), min_size=7, max_size=7), min_size=1, max_size=5))
def test_ties_broken_otherwise_agree(rows):
    source = F32(rows)
    engine = source + np.random.default_rng(0).uniform(-0.01, 0.01, source.shape).astype(F32)
    (found,) = scored(source, engine)
    assert (found.top1, found.top5) == (1.0, 1.0)
    assert found.passed


def test_top5_is_the_overlap_of_the_best():
    source, engine = F32([[10, 9, 8, 7, 6, 1, 0]]), F32([[10, 9, 8, 0, 1, 6, 7]])
    assert scored(source, engine)[0].top5 == 0.6


def test_fewer_than_five_classes_overlap_in_all_of_them():
    assert scored([[1, 2]], [[2, 1]])[0].top5 == 1.0


def test_nan_wins_nothing():
    (found,) = scored([[np.nan, 1, 0]], [[np.nan, 1, 0]])
    assert (found.top1, found.top5, found.passed) == (1.0, 1.0, True)


def test_labels_may_differ_where_the_scores_are_tied():
    tied, clear = [[0.5, 0.5]], [[1.0, 0.0]]
    _, label = scored(tied, tied, labels=([0], [1]))
    assert (label.output, label.top1, label.passed) == ("label", 1.0, True)
    _, label = scored(clear, clear, labels=([0], [1]))
    assert (label.top1, label.passed) == (0.0, False)


def test_labels_without_scores_are_exact():
    _, label = scored([[0.5, 0.5]], [[0.5, 0.5]], labels=([0], [3]), scores_output=None)
    assert (label.max_abs, label.passed) == (3, False)


def test_a_few_labels_may_differ_when_the_tolerance_says_so():
    clear = [[1.0, 0.0]] * 20
    labels = ([0] * 20, [0] * 19 + [1])
    assert scored(clear, clear, labels, Tolerance(absolute=0.1, top1=0.95))[1].passed
    found = scored(clear, clear, labels, Tolerance(absolute=0.1, top1=0.96))
    assert found[1].worst_row == 19
    with pytest.raises(ParityFailed, match=r"top class of only 95 % of the rows in 'label', .*'s'; 96 % is needed"):
        check("net", found)
