"""The models that other people's example clients ask for by name, as real ONNX files in a store."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from gateway.core.datatypes import Datatype
from model_store.manifest import Artifact, checksums, save_manifest
from model_store.parity.verdict import PairParity
from support.manifests import make_manifest

_ONNX = {
    Datatype.INT8: TensorProto.INT8,
    Datatype.INT32: TensorProto.INT32,
    Datatype.FP32: TensorProto.FLOAT,
    Datatype.BYTES: TensorProto.STRING,
}


def make_client_store(root: Path) -> Path:
    """Triton's ``simple`` models and TensorFlow Serving's ``half_plus_two``.

    ``simple``, ``simple_int8`` and ``simple_string`` take two rows of 16 numbers (the last as text) and give their sum
    and their difference; ``simple_identity`` gives texts back; ``half_plus_two`` is y = x / 2 + 2. ``densenet_onnx``
    takes what a client calls a picture, without a batch dimension, and gives a thousand equal scores.
    """
    _save_sums(root, "simple", Datatype.INT32, to_numbers=[], to_answers=[])
    _save_sums(root, "simple_int8", Datatype.INT8, to_numbers=["INT32"], to_answers=["INT8"])
    _save_sums(root, "simple_string", Datatype.BYTES, to_numbers=["INT32"], to_answers=["STRING"])
    texts = [("INPUT0", Datatype.BYTES, (-1, -1))], [("OUTPUT0", Datatype.BYTES, (-1, -1))]
    _save(root, "simple_identity", *texts, [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])])
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("a", 0.5), ("b", 2.0))]
    nodes = [helper.make_node("Mul", ["x", "a"], ["half"]), helper.make_node("Add", ["half", "b"], ["y"])]
    _save(root, "half_plus_two", [("x", Datatype.FP32, (-1,))], [("y", Datatype.FP32, (-1,))], nodes, constants)
    picture = [("data_0", Datatype.FP32, (3, 224, 224))], [("fc6_1", Datatype.FP32, (1000,))]
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [1000])
    nodes = [
        helper.make_node("ReduceMean", ["data_0"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["fc6_1"]),
    ]
    _save(root, "densenet_onnx", *picture, nodes, [shape], max_batch_size=0)
    return root


def _save_sums(root, name, datatype, to_numbers, to_answers):
    """Casts before and behind, as ONNX neither adds texts nor ONNX Runtime bytes."""
    nodes = []
    rows = {}
    for row in ("INPUT0", "INPUT1"):
        rows[row] = row
        for kind in to_numbers:
            rows[row] = f"{row}-{kind}"
            nodes.append(helper.make_node("Cast", [row], [rows[row]], to=getattr(TensorProto, kind)))
    for operation, output in (("Add", "OUTPUT0"), ("Sub", "OUTPUT1")):
        result = f"{output}-number" if to_answers else output
        nodes.append(helper.make_node(operation, list(rows.values()), [result]))
        nodes += [helper.make_node("Cast", [result], [output], to=getattr(TensorProto, kind)) for kind in to_answers]
    inputs, outputs = ([(f"{side}{index}", datatype, (-1, 16)) for index in range(2)] for side in ("INPUT", "OUTPUT"))
    _save(root, name, inputs, outputs, nodes)


def _save(root, name, inputs, outputs, nodes, constants=(), **changes):
    directory = root / name / "1"
    (directory / "onnx").mkdir(parents=True)
    graph = helper.make_graph(nodes, name, _infos(inputs), _infos(outputs), list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, directory / "onnx" / "model.onnx")
    np.save(directory / "sample.npy", np.zeros((1, 2), np.float32))
    artifacts = {"onnx": Artifact("onnx/model.onnx", 0, checksums(directory, directory / "onnx"))}
    parity = {"source-onnxruntime": PairParity(0.0, 0.0, 0.0, 1e-4, 1.0, 1.0, True)}
    changes |= {"artifacts": artifacts, "parity": parity, "samples": ("sample.npy",)}
    save_manifest(directory, make_manifest(name, inputs, outputs, **changes))


def _infos(entries):
    return [
        helper.make_tensor_value_info(name, _ONNX[datatype], [None if size == -1 else size for size in shape])
        for name, datatype, shape in entries
    ]
