"""Keras models and SavedModels, in TensorFlow."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import pytest
import tensorflow as tf

from gateway.core.datatypes import Datatype
from model_store.errors import BuildFailed
from model_store.exporters.forms import KERAS, SAVED_MODEL
from model_store.sources.keras import KerasSource, load_keras
from model_store.sources.savedmodel import SavedModelSource


def dense(**more):
    return keras.Sequential([keras.Input((3,), name="features"), keras.layers.Dense(2, name="scores")], **more)


def functional():
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    total, product = keras.layers.Add(name="total")([left, right]), keras.layers.Multiply(name="product")([left, right])
    return keras.Model([left, right], [total, product])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Dense(2)

    def call(self, inputs):
        return {"first": self.layer(inputs), "second": inputs}


def names(specs):
    return {spec.name: spec.shape for spec in specs}


def test_a_sequential_needs_no_sample():
    source = KerasSource(dense(), [])
    assert names(source.signature.inputs) == {"features": (-1, 3)}
    assert names(source.signature.outputs) == {"scores": (-1, 2)}


def test_several_inputs_and_outputs_keep_names_and_order():
    source = KerasSource(functional(), [])
    assert [*names(source.signature.inputs)] == ["left", "right"]
    answer = source.run({"left": np.full((1, 2), 3, np.float32), "right": np.full((1, 2), 4, np.float32)})
    assert {name: float(array[0, 0]) for name, array in answer.items()} == {"total": 7, "product": 12}


def test_a_subclassed_model_takes_its_names_from_the_sample():
    source = KerasSource(Subclassed(), [{"": np.ones((1, 3))}])
    assert names(source.signature.inputs) == {"input": (-1, 3)}
    assert names(source.signature.outputs) == {"first": (-1, 2), "second": (-1, 3)}
    with pytest.raises(BuildFailed, match="does not say what it takes"):
        KerasSource(Subclassed(), [])


def test_a_frozen_model_answers_the_same(tmp_path):
    source = KerasSource(functional(), [])
    assert source.freeze(tmp_path) == {}
    assert (tmp_path / KERAS).is_file()
    again = SavedModelSource(tmp_path / SAVED_MODEL, [])
    assert names(again.signature.outputs) == names(source.signature.outputs)
    inputs = {"left": np.ones((3, 2), np.float32), "right": np.full((3, 2), 0.5, np.float32)}
    for name, array in source.run(inputs).items():
        np.testing.assert_array_equal(again.run(inputs)[name], array)


def test_a_free_length_stays_free():
    model = keras.Sequential([keras.Input((None, 4), name="steps"), keras.layers.Dense(2, name="scores")])
    source = KerasSource(model, [])
    assert names(source.signature.inputs) == {"steps": (-1, -1, 4)}
    assert names(source.signature.outputs) == {"scores": (-1, -1, 2)}


def test_a_lambda_layer_needs_trust(tmp_path):
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
    with pytest.raises(BuildFailed, match="holds Python code that loading would run"):
        load_keras(path, trust=False)
    assert load_keras(path, trust=True).count_params() == 0


def test_a_savedmodel_with_one_odd_signature_is_served_under_it(tmp_path):
    module = tf.Module()
    module.double = tf.function(
        lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([None, 2], tf.float64, name="x")]
    )
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"double": module.double})
    source = SavedModelSource(tmp_path / "m", [])
    assert source.signature.inputs[0].datatype is Datatype.FP64
    np.testing.assert_array_equal(source.run({"x": np.ones((1, 2))})["y"], 2 * np.ones((1, 2)))


def test_junk_is_no_savedmodel(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(BuildFailed, match="is no SavedModel that TensorFlow loads"):
        SavedModelSource(tmp_path / "m", [])
    (tmp_path / "m.keras").write_bytes(b"junk")
    with pytest.raises(BuildFailed, match="is no model that Keras loads"):
        load_keras(tmp_path / "m.keras", trust=False)
