"""Raw elements become the model's tensors; everything else passes as it is."""

import asyncio

import numpy as np
import pytest
from support.services import Recording
from support.services import request as tensor_request

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, join_bytes
from gateway.filters.process import Process

SIGNATURE = Signature((TensorSpec("x", Datatype.FP32, (-1, 2)),), (TensorSpec("y", Datatype.FP32, (-1, 2)),))


class Preparing:
    """Makes [length, length] of every element."""

    def __init__(self):
        self.calls = []

    async def __call__(self, elements):
        self.calls.append(elements)
        if b"" in elements:
            raise InvalidRequest(f"element {elements.index(b'')}: empty")
        return (Tensor.from_numpy("x", np.array([[len(element)] * 2 for element in elements], np.float32)),)


def raw(elements, shape=None, name="text"):
    return Tensor(name, Datatype.BYTES, (len(elements),) if shape is None else shape, join_bytes(elements))


def ask(*inputs, max_batch=4, **changes):
    inner, prepare = Recording(), Preparing()
    message = InferRequest("m", inputs, RequestContext("test"), **changes)
    asyncio.run(Process(inner, prepare, SIGNATURE, max_batch)(message))
    return inner.requests, prepare.calls, message


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_raw_elements_become_the_models_inputs(shape):
    (passed,), calls, message = ask(raw([b"a", b"bcd"], shape), id="7", outputs=("y",))
    assert calls == [[b"a", b"bcd"]]
    (tensor,) = passed.inputs
    assert tensor.name == "x"
    assert tensor.to_numpy().tolist() == [[1, 1], [3, 3]]
    assert (passed.id, passed.outputs, passed.context) == ("7", ("y",), message.context)
    assert message.inputs[0].name == "text"  # what the client sent is not changed under its feet


@pytest.mark.parametrize(
    "inputs",
    [
        tensor_request().inputs,
        (raw([b"a"], name="x"),),  # an input of the model's, if of the wrong datatype
        (raw([b"a"]), raw([b"b"], name="other")),
        (Tensor.from_numpy("text", np.zeros(1, np.float32)),),
    ],
)
def test_everything_else_passes_untouched(inputs):
    (passed,), calls, message = ask(*inputs)
    assert passed is message
    assert calls == []


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (raw([b"a"], ()), r"^inputs\['text'\]: shape \[n\] or \[n, 1\] .* got \[\]"),
        (raw([b"a", b"b"], (1, 2)), r"got \[1, 2\]"),
        (raw([b"a"], (1, 1, 1)), r"got \[1, 1, 1\]"),
        (raw([]), r"got \[0\]"),
        (raw([b"a"] * 5), r"^inputs\['text'\]: batch size 5 is over the model's maximum of 4"),
        (raw([b"a", b""]), r"^inputs\['text'\]: element 1: empty"),
    ],
)
def test_what_cannot_be_used_is_named_and_goes_no_further(tensor, problem):
    inner, prepare = Recording(), Preparing()
    message = InferRequest("m", (tensor,), RequestContext("test"))
    with pytest.raises(InvalidRequest, match=problem):
        asyncio.run(Process(inner, prepare, SIGNATURE, 4)(message))
    assert inner.requests == []
    assert not prepare.calls or b"" in prepare.calls[0]  # a batch that is too large costs nothing


def test_a_model_without_batches_takes_one_element():
    assert len(ask(raw([b"a"]), max_batch=0)[0]) == 1
    with pytest.raises(InvalidRequest, match="maximum of 1"):
        ask(raw([b"a", b"b"]), max_batch=0)
