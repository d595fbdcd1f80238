"""From what is served and what is built to what the servers are told."""

import json

import pytest

from gateway.runtime.docker.versions import plan_roll
from gateway.runtime.errors import RuntimeFailure

SERVED = {
    "digits": {"onnxruntime": ["1"], "torchserve": ["1"]},
    "words": {"onnxruntime": ["3"]},
}
STORED = {"digits": {"1": {"onnx", "torchserve"}, "2": {"onnx", "torchserve"}}, "words": {"3": {"onnx"}}}


def told(change):
    """The models that a change tells a server to serve."""
    return json.loads(change.environment["GATEWAY_MODELS"])


def test_both_versions_are_served_before_the_old_one_goes():
    plan = plan_roll(SERVED, STORED, "digits")
    assert plan.backends == ["onnxruntime", "torchserve"]
    assert (plan.old, plan.new) == (["digits/1"], "digits/2")
    assert told(plan.before) == ["words/3", "digits/1"]
    assert told(plan.both) == ["words/3", "digits/1", "digits/2"]


def test_in_the_end_the_servers_are_told_what_they_were_made_with():
    assert plan_roll(SERVED, STORED, "digits").after.environment == {"GATEWAY_MODELS": None}


def test_another_model_with_a_newer_version_stays_where_it_is():
    stored = STORED | {"words": {"3": {"onnx"}, "4": {"onnx"}}}
    assert told(plan_roll(SERVED, stored, "digits").after) == ["words/3", "digits/2"]


def test_versions_are_numbers():
    stored = STORED | {"digits": {"1": {"onnx"}, "9": {"onnx"}, "10": {"onnx"}}}
    assert plan_roll({"digits": {"onnxruntime": ["9"]}}, stored, "digits").new == "digits/10"


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("letters", "", "letters: nothing serves it; what is served: digits, words"),
        ("digits", "7", "digits: version 7 is not in the store; it has 1, 2"),
        ("digits", "1", "digits: version 1 is not the latest one, which is 2; remove that from the store"),
    ],
)
def test_what_cannot_be_rolled_to_is_told_before_anything_is_made(model, version, message):
    with pytest.raises(RuntimeFailure) as failure:
        plan_roll(SERVED, STORED, model, version)
    assert str(failure.value).startswith(message)


def test_a_version_that_one_backend_could_not_serve_is_refused():
    stored = STORED | {"digits": {"1": {"onnx", "torchserve"}, "2": {"onnx"}}}
    with pytest.raises(RuntimeFailure, match=r"digits: version 2 was not built for torchserve"):
        plan_roll(SERVED, stored, "digits")


def test_what_is_served_already_needs_nothing():
    plan = plan_roll(SERVED, STORED | {"digits": {"1": {"onnx"}}}, "digits")
    assert plan.old == [plan.new]
