import json
import zipfile

import onnx
import pytest
from onnx import TensorProto, helper
from support.manifests import make_manifest

from model_store.manifest import Artifact


def double_graph():
    """y = x + x."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.fixture
def model(tmp_path):
    """Makes a model whose archive holds the given members; gives its manifest."""

    def make(settings=None, **members):
        (tmp_path / "m.onnx").write_bytes(double_graph().SerializeToString())
        with zipfile.ZipFile(tmp_path / "m.mar", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (members or {"model.onnx": double_graph().SerializeToString()}).items():
                archive.writestr(name.replace("_", "."), content)
        return make_manifest(
            "double",
            [("x", "FP32", (-1, 2))],
            [("y", "FP32", (-1, 2))],
            artifacts={
                "torchserve": Artifact("m.mar", 0, {}, settings=settings or {}),
                "onnx": Artifact("m.onnx", 0, {}, settings=settings or {}),
            },
        )

    return make


@pytest.fixture
def unpacked(tmp_path):
    """A folder as TorchServe unpacks an archive with an ONNX graph."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    onnx.save(double_graph(), folder / "model.onnx")
    specs = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]}
    specs["outputs"] = [specs["inputs"][0] | {"name": "y"}]
    (folder / "signature.json").write_text(json.dumps(specs))
    return folder
