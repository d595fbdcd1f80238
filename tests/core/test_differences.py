"""Two answers held against each other, with numpy as the oracle."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.core import differences as module
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.differences import Tolerance, differences
from gateway.core.tensors import Tensor

EXACT = Tolerance(0.0, 0.0).allowed
FLOATS = (Datatype.FP16, Datatype.FP32, Datatype.FP64)
INTEGERS = [
    datatype for datatype in NUMPY_DTYPE if NUMPY_DTYPE[datatype].kind in "iu" and datatype is not Datatype.BF16
]


def tensor(array, name="y", datatype=None):
    array = np.asarray(array)
    found = Tensor.from_numpy(name, array)
    return found if datatype is None else Tensor(name, datatype, array.shape, array.tobytes())


def one(first, second, allowed=EXACT, *, batched=True, datatype=None):
    (found,) = differences(
        [tensor(first, datatype=datatype)], [tensor(second, datatype=datatype)], (), allowed, batched=batched
    )
    return found


def pairs(dtype, shapes=None, **elements):
    shapes = shapes or arrays.array_shapes(min_dims=1, max_dims=3, max_side=5)
    values = arrays.from_dtype(np.dtype(dtype), **elements)
    return shapes.flatmap(lambda shape: st.tuples(*[arrays.arrays(dtype, shape, elements=values)] * 2))


@given(st.sampled_from(FLOATS).flatmap(lambda kind: pairs(NUMPY_DTYPE[kind], allow_nan=False, allow_infinity=False)))
def test_finite_floats_are_measured_as_numpy_does_in_double_precision(both):
    first, second = both
    found = one(first, second)
    a, b = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(over="ignore"):
        expected = np.abs(a - b).max()
        scale = max(np.abs(a).max(), np.abs(b).max())
        assert found.max_abs == expected
        assert found.max_rel == pytest.approx(expected / scale if scale else 0.0)
    assert found.within == (expected == 0)


@given(st.sampled_from(INTEGERS).flatmap(lambda kind: pairs(NUMPY_DTYPE[kind])))
def test_integers_are_exact_from_end_to_end(both):
    first, second = both
    expected = max(abs(Fraction(int(a)) - int(b)) for a, b in zip(first.flat, second.flat, strict=True))
    found = one(first, second)
    assert found.max_abs == float(expected)
    assert found.within == (expected == 0)
    assert found.rows == 0


def test_the_ends_of_int64_are_as_far_apart_as_they_are():
    assert one(np.array([-(2**63)]), np.array([2**63 - 1])).max_abs == float(2**64 - 1)


@given(pairs(np.uint16, st.just((3,))))
def test_bf16_is_the_upper_half_of_fp32(both):
    floats = [(each.astype(np.uint32) << 16).view(np.float32) for each in both]
    found = one(*both, datatype=Datatype.BF16)
    expected = one(*floats)
    assert (found.max_abs, found.max_rel) == (expected.max_abs, expected.max_rel)


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ([np.nan, 1], [np.nan, 1.5], 0.5),
        ([np.inf, 1], [np.inf, 1], 0),
        ([np.nan], [0], np.inf),
        ([0], [np.nan], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([np.inf], [1e30], np.inf),
        ([0.0], [-0.0], 0),
    ],
)
def test_nan_and_infinity_differ_from_all_but_themselves(first, second, apart):
    found = one(np.array(first, np.float32), np.array(second, np.float32), Tolerance(1, 1).allowed)
    assert found.max_abs == apart
    assert found.within == (apart < 2)


def test_nan_with_other_bits_is_nan():
    first, second = (np.array([bits], np.uint32).view(np.float32) for bits in (0x7FC00000, 0x7FC00001))
    assert one(first, second).max_abs == 0


def test_what_is_allowed_grows_with_the_largest_finite_magnitude_of_both():
    allowed = Tolerance(abs=0.5, rel=0.01).allowed
    found = one(np.array([100.0, np.inf]), np.array([101.0, np.inf]), allowed)
    assert found.allowed == pytest.approx(0.5 + 0.01 * 101)
    assert found.within
    assert not one(np.array([100.0]), np.array([102.0]), allowed).within


@pytest.mark.parametrize("datatype", [Datatype.INT8, Datatype.BOOL, Datatype.BYTES, Datatype.UINT64])
def test_nothing_but_floats_may_differ(datatype):
    assert Tolerance(1, 1).allowed(datatype, 100.0) == 0


def test_bytes_and_bools_are_equal_or_not():
    words = np.array([[b"a", b""]], object)
    assert one(words, words).max_abs == 0
    assert one(words, np.array([[b"a", b"\0"]], object)).max_abs == 1
    assert one(np.array([True, False]), np.array([True, True])).max_abs == 1


def test_a_large_tensor_is_measured_to_its_end(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 8)
    first = np.zeros(27, np.float32)
    second = first.copy()
    second[-1], second[3] = 2, 1
    assert one(first, second).max_abs == 2
    second[-1] = 0
    assert one(first, second).max_abs == 1


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (np.zeros((2, 2), np.float64), "FP32 and FP64"),
        (np.zeros((1, 4), np.float32), r"shapes \[2, 2\] and \[1, 4\]"),
    ],
)
def test_another_form_is_told_and_never_within(second, problem):
    found = one(np.zeros((2, 2), np.float32), second, Tolerance(1e9, 1e9).allowed)
    assert re.fullmatch(problem, found.problem)
    assert found.max_abs == math.inf
    assert not found.within


def test_outputs_are_paired_by_name_and_those_that_are_missing_are_told():
    x, y, z = (tensor(np.ones(1, np.float32), name) for name in "xyz")

    def compared(first, second, wanted=()):
        found = differences(first, second, wanted, EXACT, batched=True)
        return {each.output: each.problem for each in found}

    assert compared([x, y], [y, x]) == {"x": "", "y": ""}
    one_sided = "only one of the answers has it"
    assert compared([x, y], [y]) == {"x": one_sided, "y": ""}
    assert compared([x], [x, z]) == {"x": "", "z": one_sided}
    assert compared([x], [x, z], ["x"]) == {"x": ""}
    assert compared([x], [x], ["x", "y"]) == {"x": "", "y": one_sided}


@given(pairs(np.float32, st.tuples(st.integers(1, 6), st.integers(2, 5)), allow_nan=False))
def test_the_best_classes_are_numpys_where_nothing_is_tied(both):
    first, second = both
    found = one(first, second)
    strict = first.argmax(-1) == second.argmax(-1)
    tied = (first == first.max(-1, keepdims=True)).sum(-1) > 1
    assert found.rows == len(first)
    assert (strict & ~tied).sum() <= found.agreeing <= (strict | tied).sum()


def test_either_of_two_best_classes_is_right_and_nan_is_none():
    assert one(np.array([[1.0, 1.0, 0.0]]), np.array([[0.0, 1.0, 0.5]])).agreeing == 1
    assert one(np.array([[1.0, 1.0, 0.0]]), np.array([[0.0, 0.5, 1.0]])).agreeing == 0
    assert one(np.array([[np.nan, 1.0, 0.0]]), np.array([[0.0, 1.0, np.nan]])).agreeing == 1


@pytest.mark.parametrize(
    ("shape", "batched", "rows"),
    [((4, 3), True, 4), ((4, 1), True, 0), ((4,), True, 0), ((4,), False, 1), ((2, 4), False, 2), ((2, 2, 2), True, 0)],
)
@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_scores_are_several_floats_for_each_row(shape, batched, rows, apart):
    first = np.zeros(shape, np.float32)
    found = one(first, first + np.float32(apart), batched=batched)
    assert (found.rows, found.agreeing) == (rows, rows)
    assert one(first.astype(np.int32), first.astype(np.int32), batched=batched).rows == 0


def test_empty_tensors_are_equal():
    assert one(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)).within
