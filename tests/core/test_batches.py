import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.services import request

from gateway.core.batches import join_inputs, likeness, split_response
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor, join_bytes

ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int8, np.int64, np.bool_, np.float16]),
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 3)),
)


def inputs(*tensors, **changes):
    return InferRequest("m", tensors, RequestContext("test"), **changes)


@given(st.data())
def test_rows_come_back_to_whom_they_belong(data):
    first = data.draw(ARRAYS)
    others = data.draw(
        st.lists(hnp.arrays(first.dtype, st.integers(0, 4).map(lambda rows: (rows, *first.shape[1:]))), max_size=4)
    )
    arrays = [first, *others]
    (joined,) = join_inputs([inputs(Tensor.from_numpy("x", array)) for array in arrays])
    assert joined.to_numpy().tobytes() == np.concatenate(arrays).tobytes()
    assert joined.shape == np.concatenate(arrays).shape
    answers = split_response(InferResponse("m", "1", (joined,)), [len(array) for array in arrays])
    for answer, array in zip(answers, arrays, strict=True):
        assert answer.outputs[0].shape == array.shape
        assert bytes(answer.outputs[0].data) == array.tobytes()


@given(st.lists(st.lists(st.lists(st.binary(max_size=5), min_size=2, max_size=2), max_size=3), min_size=1, max_size=4))
def test_elements_of_any_length_come_back_to_whom_they_belong(requests):
    tensors = [
        Tensor("x", Datatype.BYTES, (len(rows), 2), join_bytes(element for row in rows for element in row))
        for rows in requests
    ]
    joined = join_inputs([inputs(tensor) for tensor in tensors])
    answers = split_response(InferResponse("m", "1", joined), [len(rows) for rows in requests])
    assert [answer.outputs[0] for answer in answers] == tensors


def test_every_input_is_joined_with_its_own_kind():
    requests = [inputs(Tensor("a", Datatype.INT8, (1,), b"1"), Tensor("b", Datatype.INT8, (1,), b"2"))] * 2
    assert [(tensor.name, tensor.data) for tensor in join_inputs(requests)] == [("a", b"11"), ("b", b"22")]


def test_an_answer_without_outputs_is_one_for_everybody():
    assert [answer.outputs for answer in split_response(InferResponse("m", "1", ()), [1, 2])] == [(), ()]


@pytest.mark.parametrize("shape", [(), (2,), (4,)])
def test_an_output_with_other_rows_than_the_batch_is_refused(shape):
    output = Tensor("y", Datatype.INT8, shape, bytes(int(np.prod(shape))))
    with pytest.raises(BackendError, match=r"outputs\['y'\]: 3 rows are expected"):
        split_response(InferResponse("m", "1", (output,)), [1, 2])


def test_what_is_alike():
    assert likeness(request()) == likeness(request(array=np.ones((3, 2), np.float32)))
    assert likeness(request(parameters={"priority": 1, "timeout": 5})) == likeness(request())


@pytest.mark.parametrize(
    "other",
    [
        request(array=np.zeros((1, 3), np.float32)),
        request(array=np.zeros((1, 2), np.int32)),
        request(version="2"),
        request(signature="other"),
        request(outputs=("y",)),
        inputs(Tensor("z", Datatype.FP32, (1, 2), bytes(8))),
    ],
    ids=["shape", "datatype", "version", "signature", "outputs", "name"],
)
def test_what_is_not_alike(other):
    assert likeness(other) not in (None, likeness(request()))


@pytest.mark.parametrize(
    "alone",
    [
        request(parameters={"sequence_id": 7}),
        request(input_parameters={"x": {"content_type": "np"}}),
        inputs(Tensor("x", Datatype.FP32, (), bytes(4))),
        inputs(Tensor("a", Datatype.INT8, (1,), b"1"), Tensor("b", Datatype.INT8, (2,), b"12")),
        inputs(),
    ],
    ids=["parameters", "input parameters", "scalar", "sizes differ", "no inputs"],
)
def test_what_goes_alone(alone):
    assert likeness(alone) is None
