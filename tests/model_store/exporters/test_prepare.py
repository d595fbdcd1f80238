"""The first step of a build on a real, tiny ONNX file: what it finds out, writes and refuses."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from model_store.errors import BuildFailed
from model_store.exporters import prepare
from model_store.exporters.workdir import load_tensors
from model_store.processing.steps import Softmax, TopK
from model_store.recipe import Imported, Variant

ROWS = np.random.default_rng(1).standard_normal((6, 3)).astype(np.float32)
DOWN = {"step": "resize", "width": 3, "height": 1}


def write_graph(path, operator="Identity", kind=TensorProto.FLOAT, batch="n"):
    x, y = (helper.make_tensor_value_info(name, kind, [batch, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture
def prepared(tmp_path, work, run_step):
    """Prepare an import of ``tiny.onnx``; gives the facts."""
    work.frozen.rmdir()  # for the step to make

    def run(operator="Identity", kind=TensorProto.FLOAT, batch="n", **options):
        write_graph(tmp_path / "tiny.onnx", operator, kind, batch)
        work.write_recipe(Imported("tiny", "1", str(tmp_path / "tiny.onnx"), **options))
        run_step(prepare)
        return work.facts()

    return run


def saved(path, array):
    np.save(path, array)
    return str(path)


def evaluation(path, rows=ROWS, classes=None):
    np.savez(path, x=rows, classes=rows.argmax(1) if classes is None else classes)
    return str(path)


def labels(path, words="a b c"):
    path.write_text("".join(f"{word}\n" for word in words.split()))
    return str(path)


def test_the_facts_are_the_models_and_the_users(prepared, work):
    facts = prepared(license="MIT", tolerance=0.5, max_batch_size=5)
    assert (facts.framework, facts.origin, facts.description) == ("onnx", "ONNX file tiny.onnx", "ONNX file tiny.onnx")
    assert (facts.license, facts.tolerance, facts.max_batch_size) == ("MIT", 0.5, 5)
    assert facts.signature.inputs[0].shape == (-1, 3)
    assert (facts.postprocessing, facts.scores, facts.metrics, facts.files) == ((), None, {}, {})
    assert (work.frozen / "model.onnx").is_file()


def test_the_source_answers_every_set_of_inputs(prepared, work):
    prepared("Neg", max_batch_size=5)
    asked, answered = load_tensors(work.inputs), load_tensors(work.reference)
    assert asked.keys() == answered.keys()
    assert {"sample-made-up", "samples-batch-5", "random-batch-1"} <= asked.keys()
    for name, tensors in asked.items():
        np.testing.assert_array_equal(answered[name]["y"], -tensors["x"])


def test_a_model_without_batches_is_asked_one_at_a_time(prepared, work):
    assert prepared(batch=2, max_batch_size=5).max_batch_size == 0
    assert {tensors["x"].shape for tensors in load_tensors(work.inputs).values()} == {(2, 3)}


def test_samples_are_kept_in_the_models_datatype(prepared, work, tmp_path):
    prepared(samples=(saved(tmp_path / "one.npy", ROWS[:1].astype(np.float64)),))
    kept = np.load(work.model / "samples" / "one.npy")
    assert (kept.dtype, kept.tolist()) == (np.float32, ROWS[:1].tolist())


def test_labels_and_assets_go_into_the_model(prepared, work, tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    prepared(labels=labels(tmp_path / "classes.txt"), assets=(str(tmp_path / "tokenizer.json"),))
    assert (work.model / "labels.txt").read_text() == "a\nb\nc\n"
    assert (work.model / "tokenizer.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("operator", "steps"),
    [
        ("Identity", (Softmax("y"), TopK("y", 3))),
        ("Softmax", (TopK("y", 3),)),
    ],
    ids=["scores", "probabilities"],
)
def test_postprocessing_follows_from_labels_and_answers(prepared, tmp_path, operator, steps):
    facts = prepared(operator, labels=labels(tmp_path / "classes.txt"))
    assert facts.postprocessing == steps
    assert facts.scores == "y"


def test_another_number_of_labels_than_of_scores_is_refused(prepared, tmp_path):
    with pytest.raises(BuildFailed, match="2 labels are given, and no output has a score for each"):
        prepared(labels=labels(tmp_path / "classes.txt", "a b"))


def test_accuracy_is_measured_on_the_source(prepared, work, tmp_path):
    classes = ROWS.argmax(1)
    classes[0] = (classes[0] + 1) % 3
    given = evaluation(tmp_path / "e.npz", classes=classes)
    facts = prepared(labels=labels(tmp_path / "classes.txt"), evaluation=given)
    assert facts.metrics == {"accuracy": round(5 / 6, 4)}
    assert np.load(work.model / "evaluation" / "classes.npy").tolist() == classes.tolist()
    assert any(name.startswith("dataset") for name in load_tensors(work.inputs))


@pytest.mark.parametrize(
    ("rows", "classes", "message"),
    [
        (ROWS, np.zeros(5, int), "different numbers of rows: {'x': 6, 'classes': 5}"),
        (ROWS[:0], np.zeros(0, int), "array 'x' is empty"),
        (ROWS[:, :2], np.zeros(6, int), r"has shape \[6, 2\], the model takes \[n, 3\]"),
    ],
)
def test_an_evaluation_set_that_does_not_fit_is_refused(prepared, tmp_path, rows, classes, message):
    given = evaluation(tmp_path / "e.npz", rows, classes)
    with pytest.raises(BuildFailed, match=message):
        prepared(labels=labels(tmp_path / "classes.txt"), evaluation=given)


@pytest.mark.parametrize(
    ("processing", "message"),
    [
        (
            {"preprocessing": [{"step": "decode", "mode": "RGB"}, DOWN]},
            "preprocessing gives 1 × 3 × 3, and the input 'x' takes 3",
        ),
        ({"postprocessing": [{"step": "softmax", "output": "z"}]}, "unknown output 'z'; the model gives"),
    ],
)
def test_processing_that_does_not_fit_the_model_is_refused(prepared, tmp_path, processing, message):
    (tmp_path / "p.json").write_text(json.dumps(processing))
    with pytest.raises(BuildFailed, match=message):
        prepared(processing=str(tmp_path / "p.json"))


def test_text_tensors_are_refused(prepared):
    with pytest.raises(BuildFailed, match=r"^x, y: text tensors are not carried by every server"):
        prepared(kind=TensorProto.STRING)


def test_a_variant_has_a_step_of_its_own(run_step, work):
    work.write_recipe(Variant("tiny-int8", "1", "int8", "/base", "key"))
    with pytest.raises(TypeError, match="Variant has a step of its own"):
        run_step(prepare)
