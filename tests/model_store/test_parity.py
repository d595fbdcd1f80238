import numpy as np
import pytest

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import BuildFailed, ParityFailed
from model_store.parity import check, compare, parity_inputs, summarize

SIGNATURE = Signature((TensorSpec("x", Datatype.FP32, (-1, 3)),), (TensorSpec("y", Datatype.FP32, (-1, 2)),))


def answers(**participants):
    return {name: {"set": {"y": np.array(value, np.float32)}} for name, value in participants.items()}


def test_differences_of_hand_made_arrays():
    (found,) = compare(answers(a=[[1.0, 4.0], [8.0, 0.0]], b=[[1.0, 3.5], [8.0, 9.0]]))
    assert found.pair == ("a", "b")
    assert (found.inputs, found.output) == ("set", "y")
    assert found.max_abs == 9.0
    assert found.max_rel == 1.0
    assert found.top1_agreement == 0.5


def test_equal_answers_do_not_differ():
    (found,) = compare(answers(a=[[0.0, 0.0]], b=[[0.0, 0.0]]))
    assert (found.max_abs, found.max_rel, found.top1_agreement) == (0.0, 0.0, 1.0)


def test_every_pair_is_compared():
    found = compare(answers(a=[[1.0]], b=[[1.0]], c=[[1.0]]))
    assert [difference.pair for difference in found] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_within_tolerance_passes_and_beyond_it_fails_with_everything_named():
    near = compare(answers(pytorch=[[1.0, 2.0]], onnxruntime=[[1.0, 2.25]]))
    check("tiny", near, 0.25)
    with pytest.raises(
        ParityFailed, match=r"tiny: pytorch and onnxruntime differ by 0\.25 in 'y' for the inputs 'set'; 0\.2 is"
    ):
        check("tiny", near, 0.2)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_fails_even_on_both_sides(poison):
    with pytest.raises(ParityFailed, match="differ by inf"):
        check("tiny", compare(answers(a=[[poison, 1.0]], b=[[poison, 1.0]])), 1e9)


def test_another_top_class_fails_within_tolerance():
    with pytest.raises(ParityFailed, match="only 50% of the rows"):
        check("tiny", compare(answers(a=[[1.0, 1.01], [0.0, 1.0]], b=[[1.01, 1.0], [0.0, 1.0]])), 0.5)


def test_other_shapes_fail():
    with pytest.raises(ParityFailed, match=r"a and b give outputs of other names or shapes for set"):
        compare(answers(a=[[1.0, 2.0]], b=[[1.0]]))


def test_other_names_fail():
    with pytest.raises(ParityFailed, match="other names or shapes"):
        compare({"a": {"s": {"y": np.zeros(1)}}, "b": {"s": {"z": np.zeros(1)}}})


def test_the_summary_keeps_the_worst_of_each_pair():
    found = compare(
        {
            "a": {"one": {"y": np.array([[1.0, 2.0]])}, "two": {"y": np.array([[1.0, 2.0]])}},
            "b": {"one": {"y": np.array([[1.0, 2.5]])}, "two": {"y": np.array([[4.0, 2.0]])}},
        }
    )
    (pair,) = summarize(found, 5.0).values()
    assert (pair.max_abs, pair.max_rel, pair.top1_agreement, pair.tolerance) == (3.0, 0.75, 0.0, 5.0)
    assert [*summarize(found, 5.0)] == ["a-b"]


def test_the_gate_sees_samples_and_random_tensors_in_batches_of_1_and_7():
    samples = {f"s{i}": {"x": np.full((1, 3), i, np.float32)} for i in range(8)}
    sets = parity_inputs(samples, SIGNATURE)
    assert {name: tensors["x"].shape[0] for name, tensors in sets.items() if "batch7" in name} == {
        "samples-batch7": 7,
        "random-batch7": 7,
    }
    assert sets["s7-batch1"]["x"].tolist() == [[7.0, 7.0, 7.0]]
    assert sets["samples-batch7"]["x"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert sets["random-batch1"]["x"].shape == (1, 3)
    assert sets["random-batch1"]["x"].dtype == np.float32


def test_random_tensors_come_from_a_fixed_seed():
    samples = {f"s{i}": {"x": np.zeros((1, 3), np.float32)} for i in range(7)}
    first, second = (parity_inputs(samples, SIGNATURE)["random-batch7"]["x"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.std() > 0.3


def test_too_few_samples_are_refused():
    with pytest.raises(BuildFailed, match="at least 7 samples, the model has 1"):
        parity_inputs({"only": {"x": np.zeros((1, 3), np.float32)}}, SIGNATURE)
