import json

import numpy as np
import pytest
import torch

from model_store.oip_handler.handler import OipHandler
from model_store.oip_handler.program import ProgramRuntime, from_torch, to_torch
from model_store.oip_handler.wire import LENGTH_HEADER, Spec

X, Y = Spec("x", "FP32", (-1, 2)), Spec("y", "FP32", (-1, 2))


class Context:
    """TorchServe's context, as far as the handler uses it."""

    def __init__(self, headers):
        self.headers = headers
        self.model_name = "double"
        self.manifest = {"model": {"modelVersion": "1"}}
        self.status = {}
        self.sent = {}

    def get_all_request_header(self, index):
        return self.headers[index]

    def set_response_status(self, code, phrase, index):
        self.status[index] = code

    def set_response_content_type(self, index, value):
        self.set_response_header(index, "content-type", value)

    def set_response_header(self, index, key, value):
        self.sent.setdefault(index, {})[key] = value


class Double:
    """A program that doubles its input and remembers the batches it saw."""

    def __init__(self):
        self.batches = []

    def __call__(self, x):
        self.batches.append(tuple(x.shape))
        if torch.isinf(x).any():
            raise RuntimeError("secret detail")
        return (x * 2,)


@pytest.fixture
def program():
    return Double()


def ask(program, *bodies, headers=None, inputs=(X,), outputs=(Y,)):
    context = Context(headers or [{} for _ in bodies])
    runtime = ProgramRuntime(program, [spec.datatype for spec in inputs], "cpu")
    answers = OipHandler(runtime, inputs, outputs).answer([*bodies], context)
    return answers, context


def body(*rows, shape=None, **more):
    data = np.array(rows, np.float64)
    tensor = {"name": "x", "datatype": "FP32", "shape": shape or list(data.shape), "data": data.ravel().tolist()}
    return json.dumps({"inputs": [tensor], **more}).encode()


def data_of(answer):
    return json.loads(answer)["outputs"][0]["data"]


def test_requests_that_came_together_run_once_and_get_their_own_rows(program):
    answers, context = ask(program, body([1, 2]), body([3, 4], [5, 6], id="b"), body([7, 8]))
    assert program.batches == [(4, 2)]
    assert [data_of(answer) for answer in answers] == [[2, 4], [6, 8, 10, 12], [14, 16]]
    assert [json.loads(answer)["outputs"][0]["shape"] for answer in answers] == [[1, 2], [2, 2], [1, 2]]
    assert json.loads(answers[1])["id"] == "b"
    assert context.status == {}


def test_a_bad_request_does_not_spoil_its_neighbours(program):
    bad = [b"nonsense", body([1, 2, 3]), json.dumps({"inputs": []}).encode()]
    answers, context = ask(program, bad[0], body([1, 2]), bad[1], body([3, 4]), bad[2])
    assert program.batches == [(2, 2)]
    assert (data_of(answers[1]), data_of(answers[3])) == ([2, 4], [6, 8])
    assert context.status == {0: 400, 2: 400, 4: 400}
    assert [[*json.loads(answers[index])] for index in (0, 2, 4)] == [["error"]] * 3
    assert "does not match the model's [-1, 2]" in json.loads(answers[2])["error"]


def test_nothing_runs_when_every_request_is_bad(program):
    ask(program, b"", b"{")
    assert program.batches == []


def test_binary_in_and_out(program):
    tensor = np.array([[1, 2], [3, 4]], "<f4").tobytes()
    entry = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
    header = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    (answer,), context = ask(
        program, bytearray(header + tensor), headers=[{"inference-header-content-length": str(len(header))}]
    )
    length = int(context.sent[0][LENGTH_HEADER])
    assert context.sent[0]["content-type"] == "application/octet-stream"
    assert np.frombuffer(answer[length:], "<f4").tolist() == [2, 4, 6, 8]


def test_without_headers_the_length_comes_beside_the_body_and_in_front_of_the_answer(program):
    tensor = np.array([[1, 2]], "<f4").tobytes()
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    header = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    context = Context([{}, {}, {}])
    handler = OipHandler(ProgramRuntime(program, ["FP32"], "cpu"), (X,), (Y,))
    bodies = [bytearray(header + tensor), body([3, 4]), body([5, 6])]
    lengths = [bytearray(b"%d" % len(header)), b"%d" % len(bodies[1]), None]
    binary, as_json, plain = handler.answer(bodies, context, lengths)
    length = int.from_bytes(binary[:4], "little")
    assert json.loads(binary[4 : 4 + length])["model_name"] == "double"
    assert np.frombuffer(binary[4 + length :], "<f4").tolist() == [2, 4]
    assert (int.from_bytes(as_json[:4], "little"), data_of(as_json[4:])) == (len(as_json) - 4, [6, 8])
    assert data_of(plain) == [10, 12]
    assert program.batches == [(3, 2)]


def test_json_answers_say_so(program):
    _, context = ask(program, body([1, 2]))
    assert context.sent == {0: {"content-type": "application/json"}}


def test_a_failing_program_fails_its_group_without_telling_why(program):
    answers, context = ask(program, body([np.inf, 1]), b"{")
    assert context.status == {0: 500, 1: 400}
    assert json.loads(answers[0]) == {"error": "inference failed"}


def test_inputs_of_other_lengths_run_in_groups_of_their_own(program):
    spec = Spec("x", "FP32", (-1, -1))
    answers, _ = ask(program, body([1, 2]), body([1, 2, 3]), body([4, 5]), inputs=(spec,))
    assert sorted(program.batches) == [(1, 3), (2, 2)]
    assert [data_of(answer) for answer in answers] == [[2, 4], [2, 4, 6], [8, 10]]


def test_a_model_without_batch_dimension_runs_each_request_alone(program):
    spec = Spec("x", "FP32", (1, 2))
    answers, _ = ask(program, body([1, 2]), body([3, 4]), inputs=(spec,), outputs=(Spec("y", "FP32", (1, 2)),))
    assert program.batches == [(1, 2), (1, 2)]
    assert [data_of(answer) for answer in answers] == [[2, 4], [6, 8]]


def test_an_answer_that_json_cannot_carry_is_that_requests_error(program):
    answers, context = ask(program, body([3e38, 1]), body([1, 1]))
    assert context.status == {0: 400}
    assert "ask for binary output" in json.loads(answers[0])["error"]
    assert data_of(answers[1]) == [2, 2]


def test_bf16_passes_as_bit_patterns():
    bits = np.array([0x3F80, 0x4000], np.uint16)
    tensor = to_torch(bits, "BF16")
    assert tensor.dtype == torch.bfloat16
    assert tensor.tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(from_torch(tensor), bits)
