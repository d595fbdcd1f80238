import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import ParityFailed
from model_store.parity.compare import compare
from model_store.parity.tolerance import Tolerance

F32 = np.float32


def spec(name, datatype, *shape):
    return TensorSpec(name, datatype, shape)


def signature(*outputs):
    return Signature((spec("x", Datatype.FP32, -1, 3),), outputs)


def one(source, engine, datatype=Datatype.FP32, tolerance=None):
    """The difference between two arrays, the batch first."""
    shape = (-1, *np.shape(source)[1:])
    answers = {"source": {"s": {"y": source}}, "engine": {"s": {"y": engine}}}
    (found,) = compare(answers, signature(TensorSpec("y", datatype, shape)), tolerance or Tolerance())
    return found


def arrays(elements, side=(1, 4)):
    shapes = st.tuples(st.integers(*side), st.integers(*side))
    return shapes.flatmap(lambda shape: st.tuples(*(npst.arrays(F32, shape, elements=elements) for _ in range(2))))


any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)
finite = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def test_a_hand_made_difference():
    found = one(F32([[1.0, 4.0], [8.0, 0.0]]), F32([[1.0, 3.5], [8.0, 8.0]]))
    assert (found.pair, found.inputs, found.output) == (("source", "engine"), "s", "y")
    assert (found.max_abs, found.max_rel, found.rows, found.worst_row) == (8.0, 1.0, 2, 1)
    assert found.max_ulp == 2.0**23
    assert found.allowed == 256 * 8 * 2.0**-23
    assert not found.passed


def test_one_step_at_the_scale_is_one_ulp():
    largest = F32(1024)
    found = one(F32([[largest]]), F32([[np.nextafter(largest, F32(np.inf))]]))
    assert found.max_ulp == pytest.approx(1.0, rel=1e-6)
    assert found.passed


@given(arrays(any_float))
def test_the_order_of_the_two_changes_no_distance(pair):
    there, back = one(*pair), one(*reversed(pair))
    assert [there.max_abs, there.max_rel, there.max_ulp, there.worst_row] == [
        back.max_abs,
        back.max_rel,
        back.max_ulp,
        back.worst_row,
    ]


@given(arrays(any_float))
def test_what_is_equal_passes_even_where_it_is_not_finite(pair):
    found = one(pair[0], pair[0].copy())
    assert (found.max_abs, found.max_rel, found.max_ulp, found.top1, found.top5) == (0, 0, 0, 1, 1)
    assert found.passed


@given(arrays(finite), st.integers(-8, 8))
def test_ulps_do_not_depend_on_the_scale(pair, power):
    scaled = [(array * 2.0**power).astype(F32) for array in pair]
    plain, other = one(*pair), one(*scaled)
    if plain.scale > 1e-3:
        assert other.max_ulp == pytest.approx(plain.max_ulp, rel=1e-9)
        assert other.passed == plain.passed


@given(arrays(finite), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_not_finite_on_one_side_only_is_infinitely_far(pair, poison):
    first, second = pair[0].copy(), pair[0].copy()
    second[-1, -1] = poison
    found = one(first, second)
    assert found.max_abs == math.inf
    assert found.worst_row == len(first) - 1
    assert not found.passed
    assert math.isfinite(found.scale)


def test_infinities_of_other_signs_are_infinitely_far():
    assert one(F32([[np.inf]]), F32([[-np.inf]])).max_abs == math.inf


@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1)),
        min_size=1,
        max_size=5,
    )
)
def test_integers_are_compared_exactly(pairs):
    first, second = (np.array(side, np.int64)[:, None] for side in zip(*pairs, strict=True))
    found = one(first, second, Datatype.INT64)
    assert found.max_abs == max(abs(a - b) for a, b in pairs)
    assert isinstance(found.max_abs, int)
    assert found.passed == (found.max_abs == 0)


def test_the_ends_of_64_bits():
    low, high = np.array([[-(2**63)]]), np.array([[2**63 - 1]])
    assert one(low, high, Datatype.INT64).max_abs == 2**64 - 1
    assert one(high - 1, high, Datatype.INT64).max_abs == 1
    assert one(np.array([[0]], np.uint64), np.array([[2**64 - 1]], np.uint64), Datatype.UINT64).max_abs == 2**64 - 1


@pytest.mark.parametrize(
    ("first", "second", "datatype"),
    [
        (np.array([[True]]), np.array([[False]]), Datatype.BOOL),
        (np.array([["cat"]]), np.array([["dog"]]), Datatype.BYTES),
        (np.array([[b"a", "ü".encode()]], object), np.array([["a", "u"]], object), Datatype.BYTES),
    ],
)
def test_other_booleans_and_texts_are_one_apart(first, second, datatype):
    assert one(first, second, datatype).max_abs == 1
    assert not one(first, second, datatype).passed
    assert one(first, first, datatype).passed


def test_text_is_its_utf8():
    assert one(np.array([["ü"]]), np.array([["ü".encode()]], object), Datatype.BYTES).passed


def test_bf16_comes_as_bit_patterns():
    first, second = (np.array([[value]], ml_dtypes.bfloat16).view(np.uint16) for value in (1.0, 1.0078125))
    found = one(first, second, Datatype.BF16)
    assert (found.max_abs, found.max_ulp) == (2**-7, pytest.approx(1, rel=0.01))


def test_an_output_without_elements_passes():
    found = one(np.zeros((0, 3), F32), np.zeros((0, 3), F32))
    assert (found.rows, found.max_abs, found.worst_row, found.passed) == (0, 0, 0, True)


def test_a_model_without_batches_is_one_row():
    model = Signature((), (spec("y", Datatype.FP32, 4),))
    answers = {name: {"s": {"y": F32([1, 2, 3, last])}} for name, last in (("source", 4), ("engine", 5))}
    (found,) = compare(answers, model, Tolerance())
    assert (found.rows, found.worst_row, found.max_abs) == (1, 0, 1)


def test_an_answer_near_zero_is_judged_at_the_typical_scale():
    near, far = F32([[1e-6]]), F32([[10.0]])
    sets = {"a": near, "b": far, "c": far}
    answers = {
        name: {key: {"y": array + F32(shift)} for key, array in sets.items()}
        for name, shift in (("source", 0), ("engine", 1e-6))
    }
    found = compare(answers, signature(spec("y", Datatype.FP32, -1, 1)), Tolerance())
    assert [difference.scale for difference in found] == [pytest.approx(10)] * 3
    assert all(difference.passed for difference in found)


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ({"z": F32([[1]])}, r"engine gives the outputs \['z'\] for the inputs 's'; the model's are \['y'\]"),
        ({"y": F32([[1, 2]])}, r"engine gives 'y' for the inputs 's' in the shape \[1, 2\]; the model's is \[-1, 1\]"),
        ({"y": F32([[1], [2]])}, r"in the shape \[2, 1\]; source gives \[1, 1\]"),
        ({"y": np.zeros((1, 1))}, r"'y' for the inputs 's' as numpy's float64; the model's datatype is FP32"),
    ],
)
def test_outputs_of_another_form_fail(outputs, sentence):
    answers = {"engine": {"s": outputs}, "source": {"s": {"y": F32([[1]])}}}
    with pytest.raises(ParityFailed, match=sentence):
        compare(answers, signature(spec("y", Datatype.FP32, -1, 1)), Tolerance())


def test_other_sets_of_inputs_fail():
    answers = {"source": {"a": {"y": F32([[1]])}}, "engine": {}}
    with pytest.raises(ParityFailed, match=r"only one of them a$"):
        compare(answers, signature(spec("y", Datatype.FP32, -1, 1)), Tolerance())
