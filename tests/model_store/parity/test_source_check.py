import numpy as np
import pytest

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import BuildFailed
from model_store.parity.inputs import parity_inputs
from model_store.parity.source_check import check_source
from model_store.parity.tolerance import Tolerance

MODEL = Signature((TensorSpec("x", Datatype.FP32, (-1, 3)),), (TensorSpec("y", Datatype.FP32, (-1, 3)),))
SAMPLES = {f"s{index}": {"x": np.random.default_rng(index).random((1, 3), np.float32)} for index in range(3)}


def ask(function, again=None, signature=MODEL, tolerance=None, scores=None):
    sets = parity_inputs(SAMPLES, {}, signature, 8)
    first, second = (
        {name: function_({key: array.copy() for key, array in inputs.items()}) for name, inputs in sets.items()}
        for function_ in (function, again or function)
    )
    check_source("net", sets, first, second, signature, tolerance or Tolerance(), scores)


def test_a_function_of_each_row_passes():
    ask(lambda inputs: {"y": inputs["x"] * 2})


def test_a_little_noise_of_batching_passes():
    ask(lambda inputs: {"y": inputs["x"] * np.float32(1 + len(inputs["x"]) * 2**-23)})


def test_randomness_is_named():
    with pytest.raises(
        BuildFailed, match=r"net is not deterministic: output 'y' differs by 1 between two runs on the same inputs"
    ):
        ask(lambda inputs: {"y": inputs["x"]}, lambda inputs: {"y": inputs["x"] + 1}, tolerance=Tolerance(absolute=9))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_nan_and_infinity_for_a_sample_are_named(poison):
    def function(inputs):
        return {"y": np.where(inputs["x"] == SAMPLES["s1"]["x"][0, 0], np.float32(poison), inputs["x"])}

    with pytest.raises(BuildFailed, match=r"net answers NaN or Infinity in output 'y' for the inputs 'sample-s1'"):
        ask(function)


def test_nan_for_made_up_inputs_is_nobodys_business():
    real = np.concatenate([sample["x"] for sample in SAMPLES.values()])

    def function(inputs):
        return {"y": np.where(np.isin(inputs["x"], real), inputs["x"], np.float32(np.nan))}

    ask(function)


def test_rows_that_look_at_their_neighbours_are_named():
    with pytest.raises(BuildFailed, match=r"what output 'y' holds for a row depends on the other rows of its batch"):
        ask(lambda inputs: {"y": inputs["x"] - inputs["x"].mean(0)})


def test_a_batch_in_another_order_is_noticed():
    with pytest.raises(BuildFailed, match="depends on the other rows"):
        ask(lambda inputs: {"y": inputs["x"][::-1].copy()})


def test_an_output_that_is_no_batch_is_named():
    with pytest.raises(BuildFailed, match=r"a batch of \d with \d+ rows in output 'y'"):
        ask(lambda inputs: {"y": np.repeat(inputs["x"], 2, 0)})


def test_a_shape_that_depends_on_the_batch_is_named():
    model = Signature(MODEL.inputs, (TensorSpec("y", Datatype.FP32, (-1, -1)),))
    with pytest.raises(
        BuildFailed, match=r"shape of output 'y' depends on the other rows of its batch: a row is \[1\]"
    ):
        ask(lambda inputs: {"y": np.ones((len(inputs["x"]), len(inputs["x"])), np.float32)}, signature=model)


def test_a_model_of_a_fixed_batch_may_mix_its_rows():
    fixed = Signature((TensorSpec("x", Datatype.FP32, (1, 3)),), (TensorSpec("y", Datatype.FP32, (1, 1)),))
    ask(lambda inputs: {"y": inputs["x"].mean(keepdims=True)}, signature=fixed)


def test_labels_of_tied_scores_may_fall_either_way():
    model = Signature(MODEL.inputs, (*MODEL.outputs, TensorSpec("label", Datatype.INT64, (-1,))))

    def function(inputs):
        rows = len(inputs["x"])
        return {"y": np.full((rows, 3), 0.3, np.float32), "label": np.full(rows, rows % 3)}

    ask(function, signature=model, scores="y")
    with pytest.raises(BuildFailed, match="'label'"):
        ask(function, signature=model)
