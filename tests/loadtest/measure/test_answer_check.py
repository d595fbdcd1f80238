import json

import numpy as np
import pytest
from support.load_servers import payload_of
from support.manifests import make_signature

from gateway.codecs import oip_http
from gateway.core.datatypes import Datatype
from gateway.core.messages import InferResponse
from gateway.core.tensors import Tensor
from loadtest.calls import Call
from loadtest.measure.answer_check import AnswerCheck, WrongAnswer
from loadtest.payloads.workload import MeasuredModel, Workload
from model_store.parity.tolerance import Tolerance

FP32 = Datatype.FP32
SIGNATURE = make_signature([("x", FP32, (-1, 2))], [("y", FP32, (-1, 3))])
MODEL = MeasuredModel("m", "1", SIGNATURE, "", {}, Tolerance(absolute=0.01))
WORKLOAD = Workload((payload_of(MODEL, [], "first"), payload_of(MODEL, [], "second")))
FIRST, SECOND = [[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]


def decode(_payload, body, header_length):
    return oip_http.decode_response(body, header_length)


def binary(values, name="y", dtype=np.float32):
    response = InferResponse("m", "1", (Tensor.from_numpy(name, np.array(values, dtype)),))
    return oip_http.encode_response(response, oip_http.ResponseForm(default=True, by_name={}))


def text(values):
    array = np.array(values)
    output = {"name": "y", "datatype": "FP32", "shape": array.shape, "data": array.ravel().tolist()}
    return json.dumps({"model_name": "m", "outputs": [output]}).encode(), None


def call_of(payload, answer, scheduled=0):
    call = Call(payload, scheduled, lambda _: None)
    call.body, call.header_length = answer
    return call


@pytest.fixture
def check():
    made = AnswerCheck(decode, WORKLOAD, seed=1)
    made.learn(0, *binary(FIRST))
    made.learn(1, *binary(SECOND))
    return made


def test_the_first_answers_are_learned(check):
    assert [outputs["y"].tolist() for outputs in check.outputs] == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (binary(FIRST, name="z"), "output 'y' is missing; the answer has ['z']"),
        (binary(FIRST, dtype=np.float64), "output 'y': FP64[1, 3] does not fit the model's FP32[-1, 3]"),
        (binary([[1.0, 2.0]]), "output 'y': FP32[1, 2] does not fit the model's FP32[-1, 3]"),
        ((b"garbage", None), "JSON"),
    ],
)
def test_an_answer_that_does_not_fit_cannot_be_learned(check, answer, problem):
    with pytest.raises(WrongAnswer) as raised:
        check.learn(0, *answer)
    assert problem in str(raised.value)


def test_only_outputs_that_were_asked_for_must_be_there():
    outputs = [("y", FP32, (-1, 3)), ("more", FP32, (-1, 3))]
    model = MeasuredModel("m", "1", make_signature([("x", FP32, (-1, 2))], outputs), "", {})
    some, everything = (payload_of(model, [], outputs=names) for names in (("y",), ()))
    assert list(AnswerCheck(decode, Workload((some,))).learn(0, *binary(FIRST))) == ["y"]
    with pytest.raises(WrongAnswer, match="'more' is missing"):
        AnswerCheck(decode, Workload((everything,))).learn(0, *binary(FIRST))


def test_a_model_that_nobody_knows_gives_what_it_gives():
    unknown = MeasuredModel("m", "", make_signature([], []), "", {})
    made = AnswerCheck(decode, Workload((payload_of(unknown, []),)))
    assert made.learn(0, *binary(FIRST))["y"].tolist() == FIRST
    other = call_of(0, binary(FIRST, name="other name"))
    assert not made(other)
    assert "other name" in other.detail


def test_under_load_an_answer_of_the_same_size_is_not_looked_into():
    def exploding(_payload, body, header_length):
        assert not learned, "decoded under load"
        return decode(_payload, body, header_length)

    learned = False
    made = AnswerCheck(exploding, WORKLOAD)
    made.learn(0, *binary(FIRST))
    learned = True
    assert made(call_of(0, binary(FIRST)))


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (binary(FIRST), True),
        (text(FIRST), True),
        (binary(SECOND), False),
        (text(SECOND), False),
        ((b"garbage", None), False),
        ((b"", None), False),
    ],
)
def test_under_load_shapes_decide_about_other_sizes(check, answer, good):
    call = call_of(0, answer)
    assert check(call) is good
    assert bool(call.detail) is not good


def test_text_of_a_length_that_was_good_before_is_not_read_again():
    decoded = []

    def counting(payload, body, header_length):
        decoded.append(body)
        return decode(payload, body, header_length)

    made = AnswerCheck(counting, WORKLOAD)
    made.learn(0, *text(FIRST))
    for _ in range(3):
        assert made(call_of(0, text([[1.0000001, 2.0, 3.0]])))
    assert len(decoded) == 2


def test_samples_are_compared_in_full(check):
    for number in range(10):
        assert check(call_of(0, binary(FIRST), scheduled=number))
    assert check(call_of(1, binary([[4.0, 5.0, 6.0], [7.0, 8.0, 9.5]]), scheduled=77))
    assert check(call_of(1, binary([[4.0, 5.0, 6.0], [7.0, 8.0, 9.015]])))  # as far as the manifest lets it
    compared, wrong = check.sampled()
    assert compared == 12
    assert [(one.payload, one.scheduled, one.kind) for one in wrong] == [(1, 77, "wrong values")]
    assert wrong[0].detail == "output 'y' differs by 0.5 (0.02 is allowed)"
    assert check.sampled() == (0, ())


def test_what_cannot_be_read_is_found_among_the_samples(check):
    body, length = binary(FIRST)
    assert check(call_of(0, (b"x" * len(body), length)))
    assert [one.kind for one in check.sampled().wrong] == ["wrong answer"]


def test_the_sample_has_a_bound_and_is_drawn_from_the_whole_block(check):
    right, wrong = binary(FIRST), binary([[1.0, 2.0, 4.0]])
    for number in range(20_000):
        check(call_of(0, right if number < 10_000 else wrong, scheduled=number))
    compared, found = check.sampled()
    assert compared == 128
    assert 30 < len(found) < 98  # half of them are expected
    assert {one.scheduled < 10_000 for one in found} == {False}


def test_large_answers_have_a_smaller_sample():
    model = MeasuredModel("m", "1", make_signature([("x", FP32, (-1, 2))], [("y", FP32, (-1, 1_000_000))]), "", {})
    made = AnswerCheck(decode, Workload((payload_of(model, []),)))
    large = binary(np.zeros((1, 1_000_000)))
    made.learn(0, *large)
    for _ in range(20):
        made(call_of(0, large))
    assert made.sampled().compared == 4
