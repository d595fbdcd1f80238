"""A model store with models so small that a test can make it: real ONNX files, run by the real ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from gateway.core.datatypes import Datatype
from model_store.manifest import Artifact, checksums, save_manifest
from model_store.parity.verdict import PairParity
from model_store.processing.steps import Decode, Layout, Resize, Softmax, Tokenize, TopK
from support.manifests import make_manifest
from support.tokenizers import write_tokenizer

_ONNX = {
    Datatype.BOOL: TensorProto.BOOL,
    Datatype.UINT8: TensorProto.UINT8,
    Datatype.UINT16: TensorProto.UINT16,
    Datatype.UINT32: TensorProto.UINT32,
    Datatype.UINT64: TensorProto.UINT64,
    Datatype.INT8: TensorProto.INT8,
    Datatype.INT16: TensorProto.INT16,
    Datatype.INT32: TensorProto.INT32,
    Datatype.INT64: TensorProto.INT64,
    Datatype.FP16: TensorProto.FLOAT16,
    Datatype.FP32: TensorProto.FLOAT,
    Datatype.FP64: TensorProto.DOUBLE,
}
CARRIED = tuple(_ONNX)


def make_store(root: Path) -> Path:
    """``double`` (x FP32 [-1, 2] → y = 2·x), ``pair`` (two inputs, two outputs) and ``same-<TYPE>`` (y = x)."""
    two = [("x", Datatype.FP32, (-1, 2))]
    constant = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    _save(
        root, "double", two, [("y", Datatype.FP32, (-1, 2))], [helper.make_node("Mul", ["x", "two"], ["y"])], [constant]
    )
    _save(
        root,
        "pair",
        [("a", Datatype.FP32, (-1, 2)), ("b", Datatype.FP32, (-1, 2))],
        [("sum", Datatype.FP32, (-1, 2)), ("difference", Datatype.FP32, (-1, 2))],
        [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])],
    )
    for datatype in CARRIED:
        node = helper.make_node("Identity", ["x"], ["y"])
        _save(root, f"same-{datatype}", [("x", datatype, (-1,))], [("y", datatype, (-1,))], [node])
    return root


def make_raw_store(root: Path) -> Path:
    """``picture`` (RGB, 2 × 2 pixels → y = its values) and ``text`` (two tokenizer inputs → y = ids · mask)."""
    pixels = (Decode("RGB"), Resize(2, 2, "nearest"), Layout("FLAT"))
    same = helper.make_node("Identity", ["x"], ["y"])
    row = (-1, 12)
    _save(root, "picture", [("x", Datatype.FP32, row)], [("y", Datatype.FP32, row)], [same], preprocessing=pixels)
    tokens = (-1, -1)
    inputs = [(name, Datatype.INT64, tokens) for name in ("ids", "mask")]
    product = helper.make_node("Mul", ["ids", "mask"], ["y"])
    tokenize = Tokenize("tokenizer.json", max_length=4, ids="ids", mask="mask")
    _save(root, "text", inputs, [("y", Datatype.INT64, tokens)], [product], preprocessing=(tokenize,))
    write_tokenizer(root / "text" / "1" / "tokenizer.json")
    return root


def make_sentence(root: Path) -> Path:
    """``sentence`` (text → y = the sum of its tokens' numbers), whose answers do not depend on the padding."""
    tokens, axis = (-1, -1), helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    inputs = [(name, Datatype.INT64, tokens) for name in ("ids", "mask")]
    nodes = [
        helper.make_node("Mul", ["ids", "mask"], ["product"]),
        helper.make_node("ReduceSum", ["product", "axis"], ["y"]),
    ]
    tokenize = Tokenize("tokenizer.json", max_length=9, ids="ids", mask="mask")
    _save(root, "sentence", inputs, [("y", Datatype.INT64, (-1, 1))], nodes, [axis], preprocessing=(tokenize,))
    write_tokenizer(root / "sentence" / "1" / "tokenizer.json")
    return root


def make_classifier(root: Path) -> Path:
    """``classifier`` (RGB, 2 × 2 pixels → y = its values), whose values are the scores of the classes l0 to l11."""
    row = (-1, 12)
    _save(
        root,
        "classifier",
        [("x", Datatype.FP32, row)],
        [("y", Datatype.FP32, row)],
        [helper.make_node("Identity", ["x"], ["y"])],
        preprocessing=(Decode("RGB"), Resize(2, 2, "nearest"), Layout("FLAT")),
        postprocessing=(Softmax("y"), TopK("y", 5)),
        labels="labels.txt",
    )
    (root / "classifier" / "1" / "labels.txt").write_text("".join(f"l{index}\n" for index in range(12)))
    return root


def _save(root, name, inputs, outputs, nodes, constants=(), **changes):
    directory = root / name / "1"
    (directory / "onnx").mkdir(parents=True)
    graph = helper.make_graph(nodes, name, _infos(inputs), _infos(outputs), list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, directory / "onnx" / "model.onnx")
    np.save(directory / "sample.npy", np.zeros((1, 2), np.float32))
    fields = {
        "artifacts": {"onnx": Artifact("onnx/model.onnx", 0, checksums(directory, directory / "onnx"))},
        "parity": {"source-onnxruntime": PairParity(0.0, 0.0, 0.0, 1e-4, 1.0, 1.0, True)},
        "samples": ("sample.npy",),
    }
    save_manifest(directory, make_manifest(name, inputs, outputs, **fields | changes))


def _infos(entries):
    return [
        helper.make_tensor_value_info(name, _ONNX[datatype], [None if size == -1 else size for size in shape])
        for name, datatype, shape in entries
    ]
