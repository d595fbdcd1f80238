"""Models that multiply: y = factor · x, so that an answer tells which version of which store gave it."""

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper

from gateway.core.datatypes import Datatype
from model_store.exporters.workdir import save_tensors
from model_store.manifest import Artifact, checksums, load_manifest, save_manifest
from model_store.parity.verdict import PairParity
from support.manifests import make_manifest


def save_scaled(root, factor, *, name="scaled", version="1", takes="x"):
    """Write a version that takes FP32 ``takes`` [-1, 2] and gives y of the same shape; returns ``root``."""
    directory = root / name / version
    (directory / "onnx").mkdir(parents=True, exist_ok=True)
    shape = [None, 2]
    graph = helper.make_graph(
        [helper.make_node("Mul", [takes, "factor"], ["y"])],
        name,
        [helper.make_tensor_value_info(takes, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [helper.make_tensor("factor", TensorProto.FLOAT, [], [float(factor)])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, directory / "onnx" / "model.onnx")
    manifest = make_manifest(
        name,
        [(takes, Datatype.FP32, (-1, 2))],
        [("y", Datatype.FP32, (-1, 2))],
        version=version,
        artifacts={"onnx": Artifact("onnx/model.onnx", 0, checksums(directory, directory / "onnx"))},
        parity={"source-onnxruntime": PairParity(0.0, 0.0, 0.0, 1e-4, 1.0, 1.0, True)},
    )
    save_manifest(directory, manifest)
    return root


def add_tensorflow(root, factor, *, name="scaled", version="1"):
    """Give a version of ``save_scaled`` the artefact for TensorFlow as well."""
    import tensorflow as tf

    directory = root / name / version
    module = tf.Module()
    specs = [tf.TensorSpec([None, 2], tf.float32, name="x")]
    module.serve = tf.function(lambda x: {"y": x * float(factor)}, input_signature=specs)
    tf.saved_model.save(module, str(directory / "tensorflow" / "1"), signatures={"serving_default": module.serve})
    manifest = load_manifest(directory)
    artifact = Artifact("tensorflow", 0, checksums(directory, directory / "tensorflow"))
    save_manifest(
        directory, msgspec.structs.replace(manifest, artifacts={**manifest.artifacts, "tensorflow": artifact})
    )


def add_sample(root, answer, *, name="scaled", version="1"):
    """Give a version a sample, x = [[1, 2]], that its source answered with ``answer`` · x."""
    directory = root / name / version
    x = np.array([[1, 2]], np.float32)
    (directory / "samples").mkdir()
    np.save(directory / "samples" / "ones-and-twos.npy", x)
    save_tensors(directory / "reference", {"sample-ones-and-twos": {"y": x * np.float32(answer)}})
    manifest = load_manifest(directory)
    save_manifest(directory, msgspec.structs.replace(manifest, samples=("samples/ones-and-twos.npy",)))
