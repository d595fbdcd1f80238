"""What the translated graph looks like: layouts, static shapes, and what is refused."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tensorflow as tf
from onnx import helper, numpy_helper

from model_store.onnx_to_tensorflow import UnsupportedOperators, translate

_random = np.random.default_rng(0)


def _model(nodes, inputs, outputs, constants=(), **graph):
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    built = helper.make_graph(nodes, "test", inputs, outputs, constants, **graph)
    return helper.make_model(built, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _traced(model, **specs):
    return tf.function(translate(model), input_signature=[specs], autograph=False).get_concrete_function()


def _weights(*shape):
    return _random.standard_normal(shape).astype(np.float32) * 0.3


FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def test_a_convolutional_net_stays_channels_last():
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c1", "s", "b1", "m", "v"], ["n1"]),
        helper.make_node("Clip", ["n1", "zero", "six"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1], group=8),
        helper.make_node("Mul", ["c2", "scale"], ["m2"]),
        helper.make_node("Add", ["r1", "m2"], ["a"]),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("AveragePool", ["a"], ["q"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["p", "q"], ["j"], axis=1),
        helper.make_node("Pad", ["j", "pads"], ["k"]),
        helper.make_node("GlobalAveragePool", ["k"], ["g"]),
        helper.make_node("Sigmoid", ["g"], ["gate"]),
        helper.make_node("Mul", ["k", "gate"], ["o"]),
        helper.make_node("ReduceMean", ["o", "axes"], ["y"], keepdims=0),
    ]
    constants = {
        "w1": _weights(8, 3, 3, 3),
        "b1": _weights(8),
        "s": _weights(8),
        "m": _weights(8),
        "v": abs(_weights(8)),
        "w2": _weights(8, 1, 3, 3),
        "scale": _weights(8, 1, 1),
        "zero": np.float32(0),
        "six": np.float32(6),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "axes": np.array([2, 3]),
    }
    model = _model(nodes, {"x": (FLOAT, ["n", 3, "h", "w"])}, {"y": FLOAT}, constants)
    call = _traced(model, x=tf.TensorSpec([None, 3, None, None], tf.float32))
    assert [node.op for node in call.graph.as_graph_def().node].count("Transpose") == 1
    assert call.structured_outputs["y"].shape.as_list() == [None, 16]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 16, 16), (5, 3, 19, 24)):
        rows = _random.standard_normal(shape).astype(np.float32)
        (wanted,) = session.run(None, {"x": rows})
        np.testing.assert_allclose(call({"x": tf.constant(rows)})["y"], wanted, rtol=1e-4, atol=1e-5)


def test_shapes_made_of_shapes_stay_known():
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["n"]),
        helper.make_node("Unsqueeze", ["length", "axes"], ["l"]),
        helper.make_node("Concat", ["n", "l", "heads"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["split"]),
        helper.make_node("Transpose", ["split"], ["y"], perm=[0, 2, 1, 3]),
    ]
    constants = {"zero": np.int64(0), "one": np.int64(1), "axes": np.array([0]), "heads": np.array([4, 6])}
    model = _model(nodes, {"x": (FLOAT, ["n", "l", 24])}, {"y": FLOAT}, constants)
    call = _traced(model, x=tf.TensorSpec([None, None, 24], tf.float32))
    assert call.structured_outputs["y"].shape.as_list() == [None, 4, None, 6]
    assert call({"x": tf.zeros([2, 3, 24])})["y"].shape == [2, 4, 3, 6]


def test_a_branch_sees_what_is_around_it():
    def branch(operation):
        node = helper.make_node(operation, ["x", "c"], ["r"])
        return helper.make_graph([node], operation, [], [helper.make_tensor_value_info("r", FLOAT, None)])

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["chosen"], then_branch=branch("Add"), else_branch=branch("Mul")),
        helper.make_node("Add", ["chosen", "c"], ["y"]),
    ]
    model = _model(nodes, {"x": (FLOAT, ["n"])}, {"y": FLOAT}, {"zero": np.float32(0), "c": np.array([3], np.float32)})
    call = _traced(model, x=tf.TensorSpec([None], tf.float32))
    assert call({"x": tf.constant([1.0, 2.0])})["y"].numpy().tolist() == [7, 8]
    assert call({"x": tf.constant([-1.0, -2.0])})["y"].numpy().tolist() == [0, -3]


def test_a_models_own_functions_are_inlined():
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 20)]
    )
    model = _model([helper.make_node("Twice", ["x"], ["y"], domain="own")], {"x": (FLOAT, [2])}, {"y": FLOAT})
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    assert _traced(model, x=tf.TensorSpec([2], tf.float32))({"x": tf.constant([1.0, 2.0])})["y"].numpy().tolist() == [
        2,
        4,
    ]


def test_all_that_lacks_is_named_in_subgraphs_too():
    inner = helper.make_node("Strange", [], ["r"], domain="com.example")
    branch = helper.make_graph([inner], "b", [], [helper.make_tensor_value_info("r", FLOAT, None)])
    nodes = [
        helper.make_node("ImageDecoder", ["x"], ["i"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    model = _model(nodes, {"x": (FLOAT, [1]), "c": (onnx.TensorProto.BOOL, [])}, {"y": FLOAT})
    with pytest.raises(UnsupportedOperators, match=r"^ImageDecoder, com\.example\.Strange$"):
        translate(model)


def test_a_form_that_lacks_is_named_while_tracing():
    model = _model(
        [helper.make_node("Squeeze", ["x", "axes"], ["y"])], {"x": (FLOAT, [1]), "axes": (INT64, [1])}, {"y": FLOAT}
    )
    with pytest.raises(UnsupportedOperators, match="Squeeze whose 'axes' is not a constant"):
        _traced(model, x=tf.TensorSpec([1], tf.float32), axes=tf.TensorSpec([1], tf.int64))
