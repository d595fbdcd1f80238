from __future__ import annotations

import numpy as np
import pytest
from support.manifests import make_signature

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Tensor
from loadtest.errors import PayloadError
from loadtest.payloads.making import make_payload, tensors_for
from loadtest.payloads.workload import MeasuredModel


def model(*inputs: tuple[str, str, tuple[int, ...]]) -> MeasuredModel:
    return MeasuredModel("m", "1", make_signature(inputs, [("y", "FP32", (-1,))]), "", {})


def test_inputs_come_in_the_models_order() -> None:
    two = model(("a", "FP32", (-1, 1)), ("b", "INT64", (-1, 2)))
    tensors = tensors_for(two, {"b": np.zeros((3, 2), np.int64), "a": np.zeros((3, 1), np.float32)})
    payload = make_payload(two, "7", tensors, "l")
    assert [tensor.name for tensor in payload.request.inputs] == ["a", "b"]
    assert (payload.request.model, payload.request.version, payload.label, payload.rows) == ("m", "7", "l", 3)


def test_a_single_sample_gets_its_batch_dimension() -> None:
    payload = make_payload(model(("x", "FP32", (-1, 4))), "", [Tensor("x", Datatype.FP32, (4,), bytes(16))], "l")
    assert (payload.request.inputs[0].shape, payload.rows) == ((1, 4), 1)


def test_without_a_batch_dimension_a_payload_is_one_row() -> None:
    payload = make_payload(model(("x", "FP32", (4,))), "", [Tensor("x", Datatype.FP32, (4,), bytes(16))], "l")
    assert (payload.request.inputs[0].shape, payload.rows) == ((4,), 1)


def test_bit_patterns_stand_for_bf16() -> None:
    (tensor,) = tensors_for(model(("x", "BF16", (-1,))), {"x": np.array([0x3F80], np.uint16)})
    assert (tensor.datatype, bytes(tensor.data)) == (Datatype.BF16, b"\x80\x3f")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((1, 4)), "datatype FP64 does not match the model's FP32"),
        (np.zeros((1, 5), np.float32), r"shape \[1, 5\] does not match the model's \[-1, 4\]"),
        (np.zeros((0, 4), np.float32), "an input without elements measures nothing"),
    ],
)
def test_what_does_not_fit_is_named(array: np.ndarray, reason: str) -> None:
    one = model(("x", "FP32", (-1, 4)))
    with pytest.raises(PayloadError, match=f"cat does not fit model m: .*{reason}"):
        make_payload(one, "", tensors_for(one, {"x": array}), "cat")


def test_inputs_that_are_missing_or_unknown() -> None:
    one = model(("x", "FP32", (-1, 4)))
    with pytest.raises(PayloadError, match="'x' is missing"):
        make_payload(one, "", [], "cat")
    with pytest.raises(PayloadError, match="unknown input 'z'"):
        make_payload(one, "", [Tensor("z", Datatype.FP32, (1, 4), bytes(16))], "cat")


def test_elements_without_a_datatype() -> None:
    with pytest.raises(InvalidRequest, match="complex128"):
        tensors_for(model(("x", "FP32", (-1,))), {"x": np.zeros(1, complex)})
