"""ONNX's own conformance suite: every node test whose operators can be translated."""

import os
import re
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx.backend.test.loader import load_model_tests

from model_store.onnx_to_tensorflow import translate
from model_store.onnx_to_tensorflow.dtypes import tf_dtype

# What is not run, by a pattern of the tests' names, and why.
EXCLUDED = {
    r"(test|to|identity)_sequence|sequence_model|optional|_opt$|(if|loop1[36])_seq": "not tensors",
    r"FLOAT8|FLOAT4|INT4|INT2|e8m0|_e4m3fn|_e5m2|float4e2m1|_u?int[24](_|$)": "no arithmetic in TensorFlow",
    r"adagrad|adam|momentum|training_dropout|batchnorm_.*_training_mode": "training",
    r"bernoulli": "random: the expected numbers are one generator's",
    r"image_decoder|strnormalizer|string_split|tfidf": "texts and pictures in forms TensorFlow has no operator for",
    r"col2im|deform_conv|dft|stft|melweightmatrix|roialign|gridsample_(bicubic|volumetric)": "not translated yet",
    r"gridsample_.*_bicubic|gridsample_cubic|scan_sum$": "the same; Scan's first version",
    r"resize_downsample_scales_(linear|cubic)_align_corners": "sizes before rounding; ONNX Runtime and PyTorch round",
    r"attention_.*bf16": "one step of bfloat16, from another order of rounding",
}

# Weights, whose sizes are known in every model, and settings that TensorFlow needs as constants.
WEIGHTS = {
    "Conv": {1},
    "ConvTranspose": {1},
    "ConvInteger": {1},
    "QLinearConv": {3},
    "RNN": {1, 2},
    "GRU": {1, 2},
    "LSTM": {1, 2},
    "CausalConvWithState": {1},
    "GatherND": {1},
    "ScatterND": {1},
}
SETTINGS = {
    "Squeeze": {1},
    "Unsqueeze": {1},
    "Slice": {3},
    "Pad": {3},
    "Resize": {2, 3},
    "Upsample": {1},
    "CenterCropPad": {1},
    "AffineGrid": {1},
}
TOLERANCES = {"float16": 2e-3, "bfloat16": 1e-2}


def _cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    excluded = re.compile("|".join(EXCLUDED))
    return [case for case in cases if not excluded.search(case.name)]


CASES = _cases()
NAMES = {case.name for case in CASES}


def _named_inputs(model, table):
    return {
        node.input[index]
        for node in model.graph.node
        for index in table.get(node.op_type, ())
        if index < len(node.input)
    }


def _run(case, *, sizes_known):
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = ([_array(value) for value in values] for values in case.data_sets[0])
    constants = _named_inputs(model, SETTINGS) | ({"size"} if "affine_grid" in case.name else set())
    weights = _named_inputs(model, WEIGHTS)
    feeds, specs = {}, {}
    for entry, value in zip(model.graph.input, inputs, strict=True):
        if entry.name in constants:
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, entry.name))
            continue
        dtype = tf_dtype(entry.type.tensor_type.elem_type)
        # The length of a vector tells a rank or a number of channels.
        fixed = sizes_known or value.ndim < 2 or entry.name in weights
        specs[entry.name] = tf.TensorSpec(value.shape if fixed else [None] * value.ndim, dtype)
        feeds[entry.name] = tf.constant(value, dtype)
    results = tf.function(translate(model), input_signature=[specs], autograph=False)(feeds)
    for entry, wanted in zip(model.graph.output, outputs, strict=True):
        _check(np.asarray(results[entry.name].numpy()), wanted, case)


def _array(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def _check(found, wanted, case):
    assert found.shape == wanted.shape
    if wanted.dtype.kind in "OUS":
        assert [text.decode() for text in found.ravel()] == [str(text) for text in wanted.ravel()]
        return
    assert found.dtype == wanted.dtype
    rtol = max(case.rtol, TOLERANCES.get(str(wanted.dtype), 0))
    if found.dtype.kind not in "biuc":
        found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=max(case.atol, 1e-6))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removeprefix("test_"))
def test_node(case):
    # Many operators come twice: themselves, and expanded into simpler ones. One of them runs with every dimension
    # unknown and the other with every dimension known; all others run both ways.
    if not case.name.endswith("_expanded"):
        _run(case, sizes_known=False)
    if f"{case.name}_expanded" not in NAMES:
        _run(case, sizes_known=True)
