"""How far apart two answers may be."""

from __future__ import annotations

import msgspec

from gateway.core.datatypes import Datatype

# Machine epsilon: the step from 1 to the next number. INT8 stands for arithmetic in 8 bits: 256 steps spread over the
# numbers from -scale to +scale, so that one step is 2⁻⁷ of the scale.
EPSILON: dict[Datatype, float] = {
    Datatype.FP64: 2.0**-52,
    Datatype.FP32: 2.0**-23,
    Datatype.FP16: 2.0**-10,
    Datatype.BF16: 2.0**-7,
    Datatype.INT8: 2.0**-7,
}
# The smallest number with full precision: below it the steps no longer shrink.
SMALLEST: dict[Datatype, float] = {
    Datatype.FP64: 2.0**-1022,
    Datatype.FP32: 2.0**-126,
    Datatype.FP16: 2.0**-14,
    Datatype.BF16: 2.0**-126,
}
FLOATS = frozenset(SMALLEST)


def ulp(datatype: Datatype, scale: float) -> float:
    """One unit in the last place of numbers as large as ``scale``; 1 for everything that is no float.

    The unit is proportional to ``scale`` between powers of two too: a model scaled by 3 is allowed 3 times as much.
    """
    if datatype not in FLOATS:
        return 1.0
    return EPSILON[datatype] * max(scale, SMALLEST[datatype])


class Tolerance(msgspec.Struct, frozen=True):
    """What the gate lets pass.

    Attributes:
        ulps: units in the last place, at the output's scale.
        absolute: largest absolute difference of a float output, whatever its scale; takes the place of ``ulps``.
        top1: least share of rows that must agree on the top class, over all inputs together.
        compute: what the artefact calculates in, where that is coarser than its outputs' datatype.
        made_up: whether random inputs count: not for a graph that was calibrated on real ones and clips beyond them.
    """

    ulps: float = 256
    absolute: float | None = None
    top1: float = 1.0
    compute: Datatype | None = None
    made_up: bool = True

    def allowed(self, datatype: Datatype, scale: float) -> float:
        """Largest difference allowed in an output of ``datatype`` whose largest magnitude is ``scale``.

        Integers, BOOL and BYTES are exact: nothing is.
        """
        if datatype not in FLOATS:
            return 0.0
        if self.absolute is not None:
            return self.absolute
        unit = ulp(datatype, scale)
        return self.ulps * (unit if self.compute is None else max(unit, EPSILON[self.compute] * scale))


# Inputs and outputs stay FP32, but weights and arithmetic have 11 bits: rounding shows at FP16's epsilon. It adds up
# to far fewer units than FP32's 256, which leave room for a deep network's sums in any order; 32 are 3 % of the scale.
FP16_VARIANT = Tolerance(ulps=32, top1=0.99, compute=Datatype.FP16)

# Weights and activations are rounded to 8 bits in every layer, and what lies beyond the range that calibration saw is
# clipped: measured, 9 to 13 % of the scale on a few rows where the typical error is below 2 %. 32 steps are a quarter
# of the scale. What that is worth is for the accuracy to say; the gate only catches what is broken.
INT8_VARIANT = Tolerance(ulps=32, top1=0.95, compute=Datatype.INT8, made_up=False)
