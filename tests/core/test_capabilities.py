import numpy as np
import pytest
from support.services import request

from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.datatypes import Datatype
from gateway.core.errors import PayloadTooLarge, Unsupported
from gateway.core.signatures import Signature, TensorSpec

HALF = Capabilities(refused={Datatype.FP16: "it speaks JSON"}, max_rank=2)


def signature(inputs=(), outputs=()):
    return Signature(*(tuple(TensorSpec(*spec) for spec in side) for side in (inputs, outputs)))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (signature([("x", Datatype.FP32, (-1, 2))], [("y", Datatype.FP32, (-1,))]), ""),
        (signature([("x", Datatype.FP16, (-1,))]), "inputs['x'] is FP16: it speaks JSON"),
        (signature([("x", Datatype.FP32, (1,))], [("y", Datatype.FP16, ())]), "outputs['y'] is FP16: it speaks JSON"),
        (signature([("x", Datatype.FP32, (1, 1, 1))]), "inputs['x'] has 3 dimensions, over the limit of 2"),
        (signature(), ""),
    ],
)
def test_a_model_that_cannot_be_carried_is_known_by_its_signature(model, reason):
    assert HALF.refusal(model) == reason
    assert EVERYTHING.refusal(model) == ""


@pytest.mark.parametrize(
    ("limits", "array", "error", "problem"),
    [
        (HALF, np.zeros(1, np.float16), Unsupported, r"inputs\['x'\]: backend 'b' cannot carry FP16: it speaks JSON"),
        (HALF, np.zeros((1, 1, 1)), Unsupported, "takes at most 2 dimensions, got 3"),
        (Capabilities(request_bytes=7), np.zeros(1), PayloadTooLarge, "8 bytes are over the 7 that backend 'b' takes"),
        (Capabilities(text_only="JSON"), np.array([b"a", b"\xff"]), Unsupported, "not UTF-8: JSON"),
        (Capabilities(finite_only="JSON"), np.array([1, np.nan]), Unsupported, "NaN and Infinity: JSON"),
    ],
)
def test_a_request_beyond_a_limit_is_refused_with_the_reason(limits, array, error, problem):
    EVERYTHING.check("b", request(array=array))
    with pytest.raises(error, match=problem):
        limits.check("b", request(array=array))


@pytest.mark.parametrize("array", [np.array(["ä", ""]), np.array([1e308, -0.0]), np.zeros((3, 3), np.int8)])
def test_what_is_within_the_limits_passes(array):
    Capabilities(text_only="JSON", finite_only="JSON", request_bytes=100, max_rank=2).check("b", request(array=array))
