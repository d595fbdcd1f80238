"""ONNX files: what they declare, and what is wrong with those that cannot be served."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from gateway.core.datatypes import Datatype
from model_store.errors import BuildFailed
from model_store.sources.onnx import OnnxSource


def write(path, shape, kind=TensorProto.FLOAT, op="Relu"):
    x = helper.make_tensor_value_info("x", kind, shape)
    y = helper.make_tensor_value_info("y", kind, shape)
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_named_and_unknown_dimensions_are_free(tmp_path):
    source = OnnxSource(write(tmp_path / "m.onnx", ["batch", None, 3]), [])
    assert source.signature.inputs[0].shape == (-1, -1, 3)
    assert source.signature.batched
    assert source.samples[0]["x"].shape == (1, 1, 3)
    answer = source.run({"x": np.full((2, 5, 3), -1, np.float32)})
    np.testing.assert_array_equal(answer["y"], np.zeros((2, 5, 3)))


def test_a_fixed_batch_stays_fixed(tmp_path):
    source = OnnxSource(write(tmp_path / "m.onnx", [1, 3]), [])
    assert source.signature.inputs[0].shape == (1, 3)
    assert not source.signature.batched


def test_floats_are_cast_and_nothing_else_is(tmp_path):
    half = OnnxSource(write(tmp_path / "h.onnx", [None, 3], TensorProto.FLOAT16), [{"": np.zeros((1, 3))}])
    assert (half.signature.inputs[0].datatype, half.samples[0]["x"].dtype) == (Datatype.FP16, np.float16)
    path = write(tmp_path / "i.onnx", [None, 3], TensorProto.INT64, "Identity")
    with pytest.raises(BuildFailed, match="input 'x': the sample holds float64, the model takes INT64"):
        OnnxSource(path, [{"": np.zeros((1, 3))}])


def test_a_sample_without_its_batch_gets_advice(tmp_path):
    path = write(tmp_path / "m.onnx", [None, 3])
    with pytest.raises(BuildFailed, match=r"shape \[3\], the model takes \[n, 3\]; .* save array\[None\]"):
        OnnxSource(path, [{"x": np.zeros(3, np.float32)}])


@pytest.mark.parametrize("content", [b"", b"junk", b"\x08\x09"])
def test_junk_is_no_model(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(BuildFailed, match=r"m\.onnx is no valid ONNX model"):
        OnnxSource(tmp_path / "m.onnx", [])


def test_a_zipmap_gets_advice(tmp_path):
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, classes = load_iris(return_X_y=True)
    model = to_onnx(LogisticRegression(max_iter=500).fit(features, classes), features[:1].astype(np.float32))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BuildFailed, match="only tensors can be served; convert with zipmap=False"):
        OnnxSource(tmp_path / "m.onnx", [])
