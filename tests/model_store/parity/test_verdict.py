import numpy as np
import pytest

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import ParityFailed
from model_store.parity.compare import compare
from model_store.parity.tolerance import Tolerance
from model_store.parity.verdict import check, summarize

F32 = np.float32


def spec(name, datatype, *shape):
    return TensorSpec(name, datatype, shape)


def signature(*outputs):
    return Signature((spec("x", Datatype.FP32, -1, 3),), outputs)


def three(**shifts):
    answers = {name: {"s": {"y": F32([[1, shift]])}} for name, shift in shifts.items()}
    return compare(answers, signature(spec("y", Datatype.FP32, -1, 2)), Tolerance(absolute=0.25))


def test_every_pair_is_compared_and_the_source_comes_first():
    found = three(pytorch=0, source=0, onnxruntime=0)
    assert [difference.pair for difference in found] == [
        ("source", "pytorch"),
        ("source", "onnxruntime"),
        ("pytorch", "onnxruntime"),
    ]


def test_engines_may_be_twice_as_far_from_each_other():
    found = three(source=0, pytorch=-0.25, onnxruntime=0.25)
    assert [difference.allowed for difference in found] == [0.25, 0.25, 0.5]
    assert [difference.passed for difference in found] == [True] * 3
    check("net", found)


def test_the_gate_names_everything():
    with pytest.raises(
        ParityFailed, match=r"net: source and onnxruntime differ by 0\.5 in 'y' for the inputs 's'; 0\.25 is allowed"
    ):
        check("net", three(source=0, pytorch=0.3, onnxruntime=0.5))


def test_the_gate_is_for_pairs_with_the_source():
    check("net", three(a=0, b=10))


def test_nan_on_one_side_is_said():
    with pytest.raises(ParityFailed, match=r"by inf in 'y' for the inputs 's' \(only one of them is NaN or Infinity"):
        check("net", three(source=0, pytorch=np.nan))


def test_integers_are_told_in_full():
    answers = {"source": {"s": {"y": np.array([2**60])}}, "engine": {"s": {"y": np.array([-1])}}}
    found = compare(answers, signature(spec("y", Datatype.INT64, -1)), Tolerance())
    with pytest.raises(ParityFailed, match=r"differ by 1152921504606846977 in"):
        check("net", found)


def test_the_summary_keeps_the_worst_of_each_pair():
    answers = {
        "source": {"a": {"y": F32([[1, 2]])}, "b": {"y": F32([[1, 2]])}},
        "engine": {"a": {"y": F32([[1, 2.5]])}, "b": {"y": F32([[4, 2]])}},
    }
    found = compare(answers, signature(spec("y", Datatype.FP32, -1, 2)), Tolerance(absolute=5), "y")
    summary = summarize(found)
    assert [*summary] == ["source-engine"]
    pair = summary["source-engine"]
    assert (pair.max_abs, pair.max_rel, pair.allowed, pair.top1_agreement, pair.passed) == (3.0, 0.75, 5, 1.0, True)
