"""The steps around a SavedModel: frozen for TensorFlow Serving, into ONNX, and from ONNX."""

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from onnx import TensorProto, helper

from model_store.exporters import savedmodel, tf_onnx
from model_store.exporters import tensorflow as from_onnx
from model_store.exporters.forms import SAVED_MODEL
from model_store.sources.savedmodel import SIGNATURE, save_function

ROWS = np.random.default_rng(2).standard_normal((5, 3)).astype(np.float32)
WEIGHTS = np.random.default_rng(3).standard_normal((3, 2)).astype(np.float32)
# In an order that is not that of the alphabet: TensorFlow sorts its mappings.
INPUTS = [("right", "FP32", (-1, 3)), ("left", "FP32", (-1, 3))]
OUTPUTS = [("sum", "FP32", (-1, 3)), ("dense", "FP32", (-1, 2))]


@pytest.fixture
def saved(work):
    """The frozen form: sum = left + right, dense = left · weights, which are a variable."""
    weights = tf.Variable(WEIGHTS)
    specs = {name: tf.TensorSpec([None, 3], tf.float32, name=name) for name, *_ in INPUTS}
    keep = tf.Module()
    keep.weights = weights

    def call(tensors):
        return {"sum": tensors["left"] + tensors["right"], "dense": tensors["left"] @ weights}

    save_function(call, specs, keep, work.frozen / SAVED_MODEL)


def expected(left, right):
    return {"sum": left + right, "dense": left @ WEIGHTS}


def serve(folder):
    """The signature that TensorFlow Serving calls, with what keeps it alive."""
    loaded = tf.saved_model.load(str(folder))
    return loaded, loaded.signatures[SIGNATURE]


def test_the_artefact_has_no_variables_and_the_models_signature(run_step, work, saved):
    run_step(savedmodel, inputs=INPUTS, outputs=OUTPUTS)
    _loaded, signature = serve(work.model / "tensorflow" / "1")
    assert not signature.variables
    assert {name: spec.shape.as_list() for name, spec in signature.structured_outputs.items()} == {
        "sum": [None, 3],
        "dense": [None, 2],
    }
    left, right = ROWS, ROWS[::-1].copy()
    answers = signature(left=tf.constant(left), right=tf.constant(right))
    for name, array in expected(left, right).items():
        np.testing.assert_allclose(answers[name].numpy(), array, atol=1e-6)


def test_a_model_that_cannot_be_frozen_is_served_as_it_is(run_step, work, saved, monkeypatch):
    def refuse(*arguments):
        raise ValueError("no such operator")

    monkeypatch.setattr(savedmodel, "convert_variables_to_constants_v2", refuse)
    run_step(savedmodel, inputs=INPUTS, outputs=OUTPUTS)
    _loaded, signature = serve(work.model / "tensorflow" / "1")
    assert signature.variables
    answers = signature(left=tf.constant(ROWS), right=tf.constant(ROWS))
    np.testing.assert_allclose(answers["dense"].numpy(), ROWS @ WEIGHTS, atol=1e-6)


def test_the_onnx_file_keeps_names_and_order(run_step, work, saved):
    run_step(tf_onnx, inputs=INPUTS, outputs=OUTPUTS)
    session = onnxruntime.InferenceSession(work.onnx, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["right", "left"]
    assert [value.name for value in session.get_outputs()] == ["sum", "dense"]
    left, right = ROWS, ROWS[::-1].copy()
    answers = session.run(None, {"left": left, "right": right})
    for found, array in zip(answers, expected(left, right).values(), strict=True):
        np.testing.assert_allclose(found, array, atol=1e-6)


def test_from_onnx_comes_exactly_the_models_signature(run_step, work):
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("right", "left", "sum")]
    graph = helper.make_graph([helper.make_node("Add", ["left", "right"], ["sum"])], "g", infos[:2], infos[2:])
    work.onnx.parent.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), work.onnx)
    run_step(from_onnx, inputs=INPUTS, outputs=OUTPUTS[:1])
    _loaded, signature = serve(work.model / "tensorflow" / "1")
    assert {*signature.structured_input_signature[1]} == {"left", "right"}
    answers = signature(left=tf.constant(ROWS), right=tf.constant(ROWS))
    np.testing.assert_allclose(answers["sum"].numpy(), 2 * ROWS)
