"""Other precisions of a real, tiny graph: what stays as the base has it, and what becomes smaller."""

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.manifests import make_manifest

from model_store.definitions.base import Evaluation
from model_store.errors import BuildFailed
from model_store.exporters import variant
from model_store.exporters.prepare import write_evaluation
from model_store.exporters.workdir import load_tensors, save_tensors
from model_store.manifest import Artifact, Origin, checksums, save_manifest
from model_store.parity.inputs import dataset_rows, is_random, parity_inputs
from model_store.parity.tolerance import FP16_VARIANT, INT8_VARIANT
from model_store.processing.steps import TopK
from model_store.recipe import Variant

WIDTH, CLASSES = 16, 4
RANDOM = np.random.default_rng(3)
WEIGHTS = RANDOM.standard_normal((WIDTH, CLASSES)).astype(np.float32)
ROWS = RANDOM.standard_normal((40, WIDTH)).astype(np.float32)


def graph(nodes, initializers):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])
    made = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(a, name) for name, a in initializers])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def dense():
    return graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [("w", WEIGHTS)])


def slicing():
    bounds = [(name, np.array([value])) for name, value in (("start", 0), ("end", CLASSES), ("axis", 1))]
    return graph([helper.make_node("Slice", ["x", "start", "end", "axis"], ["y"])], bounds)


@pytest.fixture
def base(tmp_path, work):
    """Store ``tiny`` with its graph; gives the recipe of its variant."""
    work.frozen.rmdir()  # for the step to make

    def make(model, kind):
        folder = tmp_path / "base"
        for name in ("onnx", "samples", "worst"):
            (folder / name).mkdir(parents=True)
        onnx.save(model, folder / "onnx" / "model.onnx")
        np.save(folder / "samples" / "a.npy", ROWS[:1])
        write_evaluation(folder, Evaluation({"x": ROWS}, np.zeros(len(ROWS), np.int64)))
        (folder / "labels.txt").write_text("a\nb\nc\nd\n")
        (folder / "tokenizer.json").write_text("{}")
        (folder / "parity.json").write_text("{}")
        manifest = make_manifest(
            "tiny",
            [("x", "FP32", (-1, WIDTH))],
            [("y", "FP32", (-1, CLASSES))],
            postprocessing=(TopK("y", 2),),
            labels="labels.txt",
            samples=("samples/a.npy",),
            origin=Origin("pytorch", "PyTorch Tiny"),
            metrics={"accuracy": 0.5},
        )
        evaluation = dataset_rows(Evaluation({"x": ROWS}, np.zeros(len(ROWS))))
        sets = parity_inputs({"a": {"x": ROWS[:1]}}, evaluation, manifest.model_signature(), manifest.max_batch_size)
        save_tensors(folder / "reference", {name: {"y": tensors["x"] @ WEIGHTS} for name, tensors in sets.items()})
        files = {path: digest for path, digest in checksums(folder, folder).items() if not path.startswith("onnx")}
        artifacts = {"onnx": Artifact("onnx/model.onnx", 0, checksums(folder, folder / "onnx"))}
        save_manifest(folder, msgspec.structs.replace(manifest, artifacts=artifacts, files=files))
        return Variant(f"tiny-{kind}", "1", kind, str(folder), "key")

    return make


def largest_difference(work):
    """From the base's own answers, as a share of the largest of them."""
    session = onnxruntime.InferenceSession(work.frozen / "model.onnx", providers=["CPUExecutionProvider"])
    assert {value.type for value in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}
    reference = load_tensors(work.reference)
    name = next(name for name in reference if name.startswith("dataset"))
    (found,) = session.run(None, load_tensors(work.inputs)[name])
    return np.abs(found - reference[name]["y"]).max() / np.abs(reference[name]["y"]).max()


def test_half_precision_halves_the_weights_and_keeps_the_clients_datatypes(run_step, work, base):
    work.write_recipe(base(dense(), "fp16"))
    run_step(variant)
    weights = onnx.load(work.frozen / "model.onnx").graph.initializer
    assert {tensor.data_type for tensor in weights} == {TensorProto.FLOAT16}
    assert 0 < largest_difference(work) < FP16_VARIANT.ulps * 2**-10


def test_eight_bits_quantise_weights_and_activations(run_step, work, base):
    work.write_recipe(base(dense(), "int8"))
    run_step(variant)
    made = onnx.load(work.frozen / "model.onnx").graph
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in made.node}
    assert TensorProto.INT8 in {tensor.data_type for tensor in made.initializer}
    assert 0 < largest_difference(work) < INT8_VARIANT.ulps * 2**-7


@pytest.mark.parametrize("kind", ["fp16", "int8"])
def test_whatever_the_base_was_proven_on_comes_along(run_step, work, base, kind):
    work.write_recipe(base(dense(), kind))
    run_step(variant)
    assert {path.name for path in work.model.iterdir()} == {
        "samples", "evaluation", "reference", "labels.txt", "tokenizer.json",
    }  # fmt: skip
    asked, answered = load_tensors(work.inputs).keys(), load_tensors(work.reference).keys()
    # What was calibrated on real inputs is not asked about made-up ones.
    assert asked == {name for name in answered if kind == "fp16" or not is_random(name)}
    facts = work.facts()
    assert (facts.framework, facts.origin, facts.variant_of) == ("onnx", f"{kind} of tiny", "tiny")
    assert (facts.metrics, facts.scores, facts.description) == ({"accuracy": 0.5}, "y", f"a test's model ({kind})")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("fp16", "no FP32 weights: there is nothing to halve"), ("int8", "none of Conv, MatMul, Gemm: there is nothing")],
)
def test_a_graph_that_gains_nothing_is_refused(run_step, work, base, kind, message):
    work.write_recipe(base(slicing(), kind))
    with pytest.raises(BuildFailed, match=message):
        run_step(variant)


def test_a_recipe_of_another_kind_is_a_mistake(run_step, work):
    with pytest.raises(TypeError, match="a variant is needed, this is a Imported"):
        run_step(variant)
