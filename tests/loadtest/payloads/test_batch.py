from __future__ import annotations

import numpy as np
import pytest
from support.manifests import make_signature

from gateway.core.tensors import Tensor
from loadtest.errors import PayloadError
from loadtest.payloads.batch import batched, check_batch
from loadtest.payloads.making import make_payload
from loadtest.payloads.workload import MeasuredModel, Payload


def payloads(datatype: str, *arrays: object) -> list[Payload]:
    shape = (-1,) * np.ndim(arrays[0])
    model = MeasuredModel("m", "1", make_signature([("x", datatype, shape)], [("y", "FP32", (-1,))]), "", {})
    dtype = object if datatype == "BYTES" else {"FP32": np.float32, "BOOL": np.bool_}[datatype]
    return [
        make_payload(model, "7", [Tensor.from_numpy("x", np.array(array, dtype))], f"s{number}")
        for number, array in enumerate(arrays)
    ]


def values(made: list[Payload]) -> list[object]:
    return [payload.request.inputs[0].to_numpy().tolist() for payload in made]


def test_one_row_leaves_them_as_they_are() -> None:
    made = payloads("FP32", [[1]], [[2]])
    assert batched(made, 1) == made


def test_each_begins_with_its_own_sample_and_goes_round() -> None:
    made = batched(payloads("FP32", [[1]], [[2]], [[3]]), 2)
    assert values(made) == [[[1], [2]], [[2], [3]], [[3], [1]]]
    assert [(payload.label, payload.rows, payload.request.version) for payload in made] == [
        ("s0 ×2", 2, "7"),
        ("s1 ×2", 2, "7"),
        ("s2 ×2", 2, "7"),
    ]


def test_fewer_samples_than_rows() -> None:
    assert values(batched(payloads("FP32", [[1]], [[2]]), 5)) == [[[1], [2], [1], [2], [1]], [[2], [1], [2], [1], [2]]]


def test_only_samples_of_the_same_shape_meet() -> None:
    made = batched(payloads("FP32", [[1]], [[2, 3]], [[4]]), 2)
    assert values(made) == [[[1], [4]], [[2, 3], [2, 3]], [[4], [1]]]


def test_samples_of_several_rows_are_cut_at_the_batch() -> None:
    assert values(batched(payloads("FP32", [[1], [2]], [[3], [4]]), 3)) == [[[1], [2], [3]], [[3], [4], [1]]]


def test_sample_with_more_rows_than_the_batch() -> None:
    with pytest.raises(PayloadError, match="s0 has 3 rows, more than the batch of 2"):
        batched(payloads("FP32", [[1], [2], [3]]), 2)


@pytest.mark.parametrize(
    ("datatype", "first", "second"), [("BYTES", [b"a"], [b"longer", b""]), ("BOOL", [True], [False, True])]
)
def test_every_datatype(datatype: str, first: list[object], second: list[object]) -> None:
    assert values(batched(payloads(datatype, first, second), 3)) == [first + second, second + first]


def test_what_a_model_does_not_take() -> None:
    free = payloads("FP32", [[1]])[0].model
    fixed = MeasuredModel("f", "1", make_signature([("x", "FP32", (1,))], [("y", "FP32", (1,))]), "", {})
    check_batch(free, 8, 8)
    check_batch(free, 1000, 0)
    check_batch(fixed, 1, 0)
    with pytest.raises(PayloadError, match="model m takes at most 8 rows in a request, not 9"):
        check_batch(free, 9, 8)
    with pytest.raises(PayloadError, match="model f has no batch dimension, so a batch of 2 rows"):
        check_batch(fixed, 2, 0)
    with pytest.raises(PayloadError, match="a batch of 0 rows"):
        check_batch(free, 0, 8)
