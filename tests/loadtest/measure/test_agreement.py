import math
from dataclasses import replace

import numpy as np
import pytest
from support.load_servers import payload_of
from support.manifests import make_signature

from gateway.core.datatypes import Datatype
from loadtest.measure.agreement import compare_answers, deviation
from loadtest.payloads.workload import MeasuredModel, Workload
from model_store.parity.tolerance import Tolerance

FP32, INT64, BF16, BYTES = Datatype.FP32, Datatype.INT64, Datatype.BF16, Datatype.BYTES
STRICT = Tolerance(ulps=256)


def model(*outputs, name="m", class_output=""):
    specs = [(output, datatype, (-1, -1)) for output, datatype in outputs]
    return MeasuredModel(name, "1", make_signature([("x", FP32, (-1, 2))], specs), class_output, {})


CLASSIFIER = model(("scores", FP32), class_output="scores")
LABELLED = model(("scores", FP32), ("label", INT64), class_output="scores")
REGRESSOR = model(("y", FP32))


def tolerating(of, tolerance):
    return replace(of, tolerance=tolerance)


def workload(of, count):
    return Workload(tuple(payload_of(of, [], f"sample {number}") for number in range(count)))


def compare(of, *targets):
    """Each of ``targets`` is a list of answers; an answer is the row of the model's first output."""
    output = of.signature.outputs[0].name
    answers = [[{output: np.array([row], dtype=np.float32)} for row in rows] for rows in targets]
    return compare_answers(answers, workload(of, len(targets[0])))


def test_same_classes_agree_and_the_largest_difference_is_told():
    first, second = compare(CLASSIFIER, [[1, 2], [4, 3]], [[1.5, 2], [4, 3]])
    assert first.problem == second.problem == ""
    assert second.largest_difference == pytest.approx(0.5)


def test_the_majority_is_right():
    good, odd = [[1, 2], [4, 3]], [[1, 2], [3, 4]]
    problems = [one.problem for one in compare(CLASSIFIER, odd, good, good)]
    assert problems == ["wrong answer for sample 1, compared with the others: class 1 instead of 0", "", ""]


def test_a_majority_needs_no_classes():
    problems = [bool(one.problem) for one in compare(REGRESSOR, [[1, 9]], [[1, 2]], [[1, 2]])]
    assert problems == [True, False, False]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_a_number_is_a_wrong_answer_even_with_the_right_class(value):
    # argmax takes the first NaN for the greatest element
    compared = compare(CLASSIFIER, [[2, 1]], [[2, 1]], [[value, 1]])
    assert [bool(one.problem) for one in compared] == [False, False, True]


def test_without_classes_values_must_be_near():
    compared = compare(REGRESSOR, [[1, 2]], [[1, 2.001]], [[1, 2.1]])
    assert [one.problem for one in compared] == [
        "",
        "",
        "wrong answer for sample 0, compared with the others: output 'y' differs by 0.1 (0.0164 is allowed)",
    ]


def test_a_manifest_says_how_near():
    loose, strict = (tolerating(REGRESSOR, Tolerance(absolute=absolute)) for absolute in (0.06, 0.04))
    targets = ([[1, 2]], [[1, 2.1]])
    assert [one.problem for one in compare(loose, *targets)] == ["", ""]
    assert compare(strict, *targets)[1].problem
    assert compare(tolerating(REGRESSOR, STRICT), [[1, 2]], [[1, 2.001]])[1].problem


def test_several_models_have_tolerances_and_classes_of_their_own():
    prices = tolerating(model(("y", FP32), name="n"), Tolerance(absolute=0.4))
    mixed = Workload((payload_of(CLASSIFIER, [], "cat"), payload_of(prices, [], "house")))

    def answers(score, price):
        return [{"scores": np.array([[score, 1.0]], np.float32)}, {"y": np.array([[price]], np.float32)}]

    compared = compare_answers([answers(2.0, 100.0), answers(2.5, 100.0), answers(2.0, 101.0)], mixed)
    assert [one.problem for one in compared] == [
        "",
        "",
        "wrong answer for house, compared with the others: output 'y' differs by 1 (0.8 is allowed)",
    ]
    assert [one.largest_difference for one in compared] == [0, 0.5, 1]


def test_another_class_is_excused_by_a_tie():
    payload = payload_of(tolerating(CLASSIFIER, STRICT), [])
    tied, other = ({"scores": np.array([row], np.float32)} for row in ([0.5, 0.5], [0.5, 0.500001]))
    assert deviation(payload, other, tied).problem == ""


def test_another_label_is_excused_by_a_tie_only():
    payload = payload_of(tolerating(LABELLED, STRICT), [])

    def answer(scores, label):
        return {"scores": np.array([scores], np.float32), "label": np.array([[label]], np.int64)}

    assert deviation(payload, answer([0.5, 0.5], 1), answer([0.5, 0.5], 0)).problem == ""
    wrong = deviation(payload, answer([0.9, 0.1], 1), answer([0.9, 0.1], 0))
    assert wrong.problem == "output 'label' differs by 1 (0 is allowed)"
    assert wrong.largest == 0


@pytest.mark.parametrize(
    ("datatype", "expected", "got", "wrong"),
    [
        (INT64, np.array([[7]]), np.array([[8]]), True),
        (BYTES, np.array([[b"a"]], object), np.array([[b"a"]], object), False),
        (BYTES, np.array([[b"a"]], object), np.array([[b"b"]], object), True),
        # 1.0 and its successor in BF16, which arrive as bit patterns; then 1.0 and 2.0
        (BF16, np.array([[0x3F80]], np.uint16), np.array([[0x3F81]], np.uint16), False),
        (BF16, np.array([[0x3F80]], np.uint16), np.array([[0x4000]], np.uint16), True),
    ],
)
def test_every_datatype_is_compared_as_what_it_is(datatype, expected, got, wrong):
    payload = payload_of(model(("y", datatype)), [])
    assert bool(deviation(payload, {"y": got}, {"y": expected}).problem) is wrong


def test_another_shape_and_a_missing_output_are_infinitely_far():
    payload = payload_of(REGRESSOR, [])
    expected = {"y": np.zeros((1, 2), np.float32)}
    flat = deviation(payload, {"y": np.zeros((1, 3), np.float32)}, expected)
    assert (flat.largest, flat.problem) == (
        math.inf,
        "output 'y' is float32 of shape [1, 3], expected is float32 of shape [1, 2]",
    )
    assert deviation(payload, {}, expected).problem.startswith("output 'y' is missing")


def test_outputs_that_no_signature_names_are_compared_too():
    unknown = MeasuredModel("m", "", make_signature([], []), "", {})
    payload = payload_of(unknown, [])
    assert deviation(payload, {"y": np.array([1.5])}, {"y": np.array([1.0])}).problem


def test_nothing_to_compare():
    assert compare_answers([], workload(CLASSIFIER, 1)) == []
