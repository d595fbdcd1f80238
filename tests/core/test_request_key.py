"""Requests that could be answered differently have different keys, all others the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.services import request

from gateway.core.datatypes import Datatype
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.request_key import request_key
from gateway.core.tensors import Tensor, join_bytes


def key(message, scope=1):
    return request_key(scope, message)


def of(*tensors, **changes):
    return key(InferRequest("m", tensors, RequestContext("test"), **changes))


X = Tensor("x", Datatype.FP32, (1, 2), bytes(8))


def test_equal_requests_have_one_key_whoever_sends_them():
    assert key(request()) == key(request(id="mine", context=RequestContext("other", priority=3, timeout=1.0)))
    assert key(request(parameters={"priority": 1, "timeout": 5})) == key(request())
    assert key(request(parameters={"a": 1, "b": "x"})) == key(request(parameters={"b": "x", "a": 1}))
    assert of(X) == of(Tensor("x", Datatype.FP32, (1, 2), memoryview(bytearray(8))))
    assert len(key(request())) == 32


@pytest.mark.parametrize(
    "other",
    [
        of(X, signature="s"),
        of(X, outputs=("y",)),
        of(X, outputs=("y", "z")),
        of(X, parameters={"p": 1}),
        of(X, parameters={"p": True}),
        of(X, parameters={"p": 1.0}),
        of(X, parameters={"p": "1"}),
        of(X, input_parameters={"x": {"p": 1}}),
        of(X, input_parameters={"y": {"p": 1}}),
        of(Tensor("y", Datatype.FP32, (1, 2), bytes(8))),
        of(Tensor("x", Datatype.INT32, (1, 2), bytes(8))),
        of(Tensor("x", Datatype.FP32, (2, 1), bytes(8))),
        of(Tensor("x", Datatype.FP32, (1, 2), bytes(7) + b"\x80")),  # -0.0
        of(X, Tensor("y", Datatype.FP32, (0,), b"")),
        request_key(2, InferRequest("m", (X,), RequestContext("test"))),
    ],
)
def test_what_could_change_the_answer_changes_the_key(other):
    assert other != of(X)


def test_all_of_these_differ_from_each_other():
    parameters = [{"p": 1}, {"p": True}, {"p": 1.0}, {"p": "1"}, {"p": "True"}, {"q": 1}, {"p": 1, "q": 1}]
    assert len({of(X, parameters=each) for each in parameters}) == len(parameters)


TEXTS = st.lists(st.binary(max_size=6), min_size=2, max_size=2)


@given(TEXTS, TEXTS)
def test_bytes_do_not_run_over_from_one_input_into_the_next(one, other):
    def keyed(elements):
        return of(
            *[Tensor(name, Datatype.BYTES, (1,), join_bytes([e])) for name, e in zip("ab", elements, strict=True)]
        )

    assert (keyed(one) == keyed(other)) == (one == other)


@given(st.integers(0, 8), st.integers(0, 8))
def test_lengths_are_part_of_the_key(first, second):
    total = 8
    split = [of(Tensor("a", Datatype.UINT8, (-1,), bytes(n)), Tensor("b", Datatype.UINT8, (-1,), bytes(total - n)))
             for n in (first, second)]  # fmt: skip
    assert (split[0] == split[1]) == (first == second)


def test_a_large_input_counts_to_its_last_byte():
    array = np.zeros((1, 500_000), np.float32)
    before = key(request(array=array))
    array[0, -1] = 1e-45
    assert key(request(array=array)) != before
