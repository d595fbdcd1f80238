import ml_dtypes
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.datatypes import Datatype
from model_store.parity.tolerance import FP16_VARIANT, INT8_VARIANT, Tolerance, ulp

NUMPY = {
    Datatype.FP16: np.float16,
    Datatype.FP32: np.float32,
    Datatype.FP64: np.float64,
    Datatype.BF16: ml_dtypes.bfloat16,
}
EXACT = [datatype for datatype in Datatype if datatype not in NUMPY]


def spacing(value):
    return float(np.nextafter(value, np.array(np.inf, value.dtype))) - float(value)


@pytest.mark.parametrize("datatype", NUMPY)
@pytest.mark.parametrize("power", [-10, -1, 0, 1, 9])
def test_a_ulp_is_the_step_to_the_next_number_at_powers_of_two(datatype, power):
    assert ulp(datatype, 2.0**power) == spacing(np.array(2.0**power, NUMPY[datatype]))


@given(st.sampled_from(sorted(NUMPY)), st.floats(0.001, 60_000))
def test_between_powers_of_two_a_ulp_is_at_most_twice_the_step(datatype, scale):
    value = np.array(scale, NUMPY[datatype])
    assert 1 <= ulp(datatype, float(value)) / spacing(value) < 2


@pytest.mark.parametrize("datatype", NUMPY)
def test_a_ulp_never_falls_below_the_smallest_number(datatype):
    assert ulp(datatype, 0.0) == spacing(np.array(0, NUMPY[datatype]))


@given(st.floats(1e-20, 1e20), st.integers(-10, 10))
def test_what_is_allowed_grows_with_the_scale(scale, power):
    allowed = Tolerance().allowed
    assert allowed(Datatype.FP32, scale * 2.0**power) == allowed(Datatype.FP32, scale) * 2.0**power


def test_256_ulps_of_single_precision_are_allowed_unless_said_otherwise():
    assert Tolerance().allowed(Datatype.FP32, 8.0) == 256 * 8 * 2**-23
    assert Tolerance(ulps=2).allowed(Datatype.FP64, 1.0) == 2 * 2**-52


def test_an_absolute_tolerance_takes_the_place_of_ulps():
    assert Tolerance(absolute=0.5).allowed(Datatype.FP32, 1e9) == 0.5


@pytest.mark.parametrize("datatype", EXACT)
def test_everything_but_floats_is_exact(datatype):
    for tolerance in (Tolerance(), Tolerance(absolute=3.0), FP16_VARIANT, INT8_VARIANT):
        assert tolerance.allowed(datatype, 100.0) == 0


def test_variants_are_allowed_what_their_arithmetic_can_do():
    assert FP16_VARIANT.allowed(Datatype.FP32, 10.0) == 32 * 10 * 2**-10
    assert INT8_VARIANT.allowed(Datatype.FP32, 10.0) == 32 * 10 * 2**-7
    assert INT8_VARIANT.top1 < FP16_VARIANT.top1 < Tolerance().top1


def test_a_coarser_output_is_judged_by_its_own_datatype():
    assert FP16_VARIANT.allowed(Datatype.BF16, 1.0) == 32 * 2**-7


def test_it_survives_json():
    encoded = msgspec.json.encode(FP16_VARIANT)
    assert msgspec.json.decode(encoded, type=Tolerance) == FP16_VARIANT
