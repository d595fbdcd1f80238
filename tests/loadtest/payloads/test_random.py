from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.manifests import make_signature

from gateway.codecs.torchserve_payload import WHOLE_BODIES
from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import check_data
from loadtest.errors import BadSpec, PayloadError
from loadtest.payloads.random import RandomSpec, parse_random, random_payloads
from loadtest.payloads.workload import MeasuredModel, Payload


def model(*inputs: tuple[str, object, tuple[int, ...]]) -> MeasuredModel:
    return MeasuredModel("m", "1", make_signature(inputs, [("y", "FP32", (-1,))]), "", {})


def made(given: MeasuredModel, spec: RandomSpec = RandomSpec(), seed: int = 1, **fields: object) -> list[Payload]:
    settings = {"rows": 1, "shapes": {}} | fields
    return random_payloads(given, "", spec, np.random.default_rng(seed), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("datatype", Datatype)
def test_every_datatype_is_valid_and_follows_its_seed(datatype: Datatype) -> None:
    one = model(("x", datatype, (-1, 300)))
    first, again, other = made(one), made(one), made(one, seed=2)
    assert [payload.label for payload in first] == [f"random {number}" for number in range(1, 9)]
    for payload in first:
        (tensor,) = payload.request.inputs
        assert (tensor.name, tensor.datatype, tensor.shape) == ("x", datatype, (1, 300))
        check_data(tensor, "x")
    assert [payload.request.inputs for payload in first] == [payload.request.inputs for payload in again]
    assert first[0].request.inputs != other[0].request.inputs
    assert first[0].request.inputs != first[1].request.inputs


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_floats_are_ordinary_numbers(datatype: str) -> None:
    tensor = made(model(("x", datatype, (4000,))))[0].request.inputs[0]
    array = tensor.to_numpy()
    if datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    assert abs(float(np.mean(array, dtype=np.float64))) < 0.1
    assert 0.9 < float(np.std(array.astype(np.float64))) < 1.1


@pytest.mark.parametrize("datatype", ["INT8", "INT32", "INT64", "UINT8", "UINT64"])
def test_whole_numbers_stay_in_a_vocabulary(datatype: str) -> None:
    one = model(("x", datatype, (5000,)))
    plain = made(one)[0].request.inputs[0].to_numpy()
    assert (plain.min(), plain.max()) == (0, 99)
    given = made(one, RandomSpec(1, 5, 7))[0].request.inputs[0].to_numpy()
    assert (given.min(), given.max()) == (5, 7)


def test_range_beyond_the_datatype() -> None:
    small = model(("x", "INT8", (5000,)))
    assert made(small, RandomSpec(1, 0, 30_000))[0].request.inputs[0].to_numpy().max() == 127
    with pytest.raises(PayloadError, match="300 is beyond input 'x', which is INT8"):
        made(small, RandomSpec(1, 300, 400))


def test_sizes_that_the_model_leaves_open() -> None:
    two = model(("a", "INT64", (-1, -1)), ("b", "FP32", (-1, 2)))
    shapes = {"a": (1, 128)}
    assert [tensor.shape for tensor in made(two)[0].request.inputs] == [(1, 1), (1, 2)]
    assert [tensor.shape for tensor in made(two, shapes=shapes)[0].request.inputs] == [(1, 128), (1, 2)]
    batch = made(two, shapes=shapes, rows=4)[0]
    assert ([tensor.shape for tensor in batch.request.inputs], batch.rows) == ([(4, 128), (4, 2)], 4)


@pytest.mark.parametrize("shape", [(1, 3), (1,), (1, 2, 1)])
def test_shape_that_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(PayloadError, match=r"does not fit input 'b' of model m, which is \?x2"):
        made(model(("b", "FP32", (-1, 2))), shapes={"b": shape})


def test_shape_that_no_request_carries() -> None:
    with pytest.raises(PayloadError, match="more than a request carries"):
        made(model(("x", "FP64", (-1, -1))), shapes={"x": (1, 2**28)})


def test_optional_inputs_are_left_out_unless_asked_for() -> None:
    specs = (TensorSpec("a", Datatype.FP32, (-1,)), TensorSpec("b", Datatype.FP32, (-1,), optional=True))
    one = MeasuredModel("m", "", Signature(specs, ()), "", {})
    assert [tensor.name for tensor in made(one)[0].request.inputs] == ["a"]
    assert [tensor.name for tensor in made(one, shapes={"b": (1,)})[0].request.inputs] == ["a", "b"]


@pytest.mark.parametrize("signature", [WHOLE_BODIES, Signature((), ())])
def test_model_that_nothing_describes(signature: Signature) -> None:
    with pytest.raises(PayloadError, match="give its payloads as files"):
        made(MeasuredModel("m", "", signature, "", {}))


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("random", RandomSpec()),
        ("random:16", RandomSpec(16)),
        ("random:16:0-30521", RandomSpec(16, 0, 30521)),
        ("random:5-5", RandomSpec(8, 5, 5)),
        ("random.npy", None),
        ("", None),
        ("cat.png", None),
    ],
)
def test_spec(text: str, spec: RandomSpec | None) -> None:
    assert parse_random(text) == spec


@given(st.text(st.sampled_from("0123456789-:x")))
def test_any_other_spec_is_refused(rest: str) -> None:
    try:
        spec = parse_random(f"random:{rest}")
        assert spec is not None
        assert 0 < spec.count <= 10_000
        assert spec.low <= spec.high
    except BadSpec as error:
        assert repr(f"random:{rest}") in str(error)


@pytest.mark.parametrize("text", ["random:", "random:0", "random:10001", "random:2:9-8", "random:-1", "random:٣"])
def test_bad_spec(text: str) -> None:
    with pytest.raises(BadSpec, match="cannot be read; random, random:COUNT"):
        parse_random(text)
