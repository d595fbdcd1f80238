import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.batches import join_inputs, likeness, split_response
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.padding import Padding
from gateway.core.tensors import Tensor

PADDING = Padding({"ids": 7, "mask": 0})


def request(*lengths, rows=1, names=("ids", "mask")):
    lengths = lengths if len(lengths) > 1 else lengths * len(names)
    tensors = [
        Tensor.from_numpy(name, np.ones((rows, length), np.int64)) for name, length in zip(names, lengths, strict=True)
    ]
    return InferRequest("m", tuple(tensors), RequestContext("test"))


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_rows_that_are_joined_are_at_most_a_third_filling(first, second):
    alike = likeness(request(first), PADDING) == likeness(request(second), PADDING)
    short, long = sorted((first, second))
    if alike:
        assert long - short <= long / 3
    if short == long:
        assert alike


def test_a_text_is_joined_with_one_that_is_a_little_longer():
    assert likeness(request(100), PADDING) == likeness(request(128), PADDING)
    assert likeness(request(100), PADDING) != likeness(request(129), PADDING)
    assert likeness(request(100)) != likeness(request(128)), "without a promise of the model"


@pytest.mark.parametrize(
    "odd",
    [
        request(100, 101),  # the model must refuse it, and filling would hide it
        request(100, names=("ids",)),
        request(100, 100, 100, names=("ids", "mask", "other")),
        InferRequest("m", (Tensor.from_numpy("ids", np.ones((1, 2, 2), np.int64)),) * 2, RequestContext("test")),
    ],
)
def test_what_the_padding_says_nothing_of_is_joined_with_its_equal_only(odd):
    assert likeness(odd, PADDING) == likeness(odd)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(97, 128)), min_size=1, max_size=5), st.booleans())
def test_rows_are_filled_up_on_their_side(sizes, left):
    padding = Padding(PADDING.fills, left)
    requests = [request(length, rows=rows) for rows, length in sizes]
    ids, mask = (tensor.to_numpy() for tensor in join_inputs(requests, padding))
    longest = max(length for _, length in sizes)
    assert ids.shape == mask.shape == (sum(rows for rows, _ in sizes), longest)
    row = 0
    for rows, length in sizes:
        own = slice(longest - length, None) if left else slice(0, length)
        filling = slice(0, longest - length) if left else slice(length, None)
        for both in np.stack([ids, mask], axis=1)[row : row + rows]:
            np.testing.assert_array_equal(both[:, own], np.ones((2, length)))
            np.testing.assert_array_equal(both[:, filling], np.repeat([[7], [0]], longest - length, axis=1))
        row += rows
    answers = split_response(
        InferResponse("m", "1", (Tensor.from_numpy("y", ids[:, :1]),)), [rows for rows, _ in sizes]
    )
    assert [answer.outputs[0].shape[0] for answer in answers] == [rows for rows, _ in sizes]
