import numpy as np
import pytest

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor

SIGNATURE = Signature(
    (TensorSpec("a", Datatype.FP32, (-1, 2)), TensorSpec("b", Datatype.INT64, (-1,))),
    (TensorSpec("y", Datatype.FP32, (-1, 3)), TensorSpec("z", Datatype.FP32, (-1,))),
)


def inputs(a=None, b=None):
    return [
        Tensor.from_numpy("a", np.zeros((4, 2), np.float32) if a is None else a),
        Tensor.from_numpy("b", np.zeros(4, np.int64) if b is None else b),
    ]


def test_fitting_inputs_pass_in_any_order():
    SIGNATURE.check_inputs(inputs())
    SIGNATURE.check_inputs(inputs()[::-1])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (inputs()[:1], "'b' is missing"),
        ([], "'a' is missing"),
        ([*inputs(), Tensor("c", Datatype.FP32, (0,), b"")], "unknown input 'c'"),
        ([*inputs(), inputs()[0]], "duplicate"),
        (inputs(a=np.zeros((4, 2))), "datatype FP64 does not match the model's FP32"),
        (inputs(a=np.zeros((4, 2, 1), np.float32)), "rank 3"),
        (inputs(a=np.zeros((4, 3), np.float32)), r"shape \[4, 3\]"),
        (inputs(b=np.zeros(5, np.int64)), "batch sizes differ"),
    ],
)
def test_each_misfit_is_named(given, problem):
    with pytest.raises(InvalidRequest, match=problem):
        SIGNATURE.check_inputs(given)


def test_requested_outputs_must_exist_once():
    SIGNATURE.check_outputs(["z", "y"])
    with pytest.raises(InvalidRequest, match="unknown output 'q'"):
        SIGNATURE.check_outputs(["q"])
    with pytest.raises(InvalidRequest, match="duplicate"):
        SIGNATURE.check_outputs(["y", "y"])


def test_batched_needs_every_tensor_to_have_a_free_first_dimension():
    assert SIGNATURE.batched
    scalar = Signature(SIGNATURE.inputs, (TensorSpec("y", Datatype.FP32, ()),))
    assert not scalar.batched


def test_an_optional_input_may_be_left_out():
    specs = (SIGNATURE.inputs[0], TensorSpec("b", Datatype.INT64, (-1,), optional=True))
    optional = Signature(specs, SIGNATURE.outputs)
    optional.check_inputs(inputs())
    optional.check_inputs(inputs()[:1])
    with pytest.raises(InvalidRequest, match="'a' is missing"):
        optional.check_inputs(inputs()[1:])
    with pytest.raises(InvalidRequest, match="none is given"):
        Signature((specs[1],), ()).check_inputs([])


def test_a_model_whose_inputs_and_outputs_nobody_tells_takes_and_gives_anything_once():
    unknown = Signature((), ())
    unknown.check_inputs(inputs())
    unknown.check_outputs(["y", "z"])
    assert not unknown.batched
    with pytest.raises(InvalidRequest, match="duplicate name"):
        unknown.check_inputs([*inputs(), inputs()[0]])
    with pytest.raises(InvalidRequest, match="duplicate name"):
        unknown.check_outputs(["y", "y"])
