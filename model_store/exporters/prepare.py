"""Step: open the source, find out what it is, let it answer the gate's inputs, and freeze it for the exporters."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature
from model_store.definitions.base import Array, Evaluation, ModelDefinition
from model_store.errors import BuildFailed
from model_store.exporters.workdir import Facts, Tensors, save_arrays, save_tensors, step_workdir
from model_store.manifest import sha256, signature_entry
from model_store.measure import accuracy
from model_store.parity.inputs import dataset_rows, parity_inputs
from model_store.parity.source_check import check_source
from model_store.parity.tolerance import FLOATS, Tolerance
from model_store.processing.steps import (
    PostStep,
    Softmax,
    TopK,
    check_postprocessing,
    check_preprocessing,
    scores_output,
)
from model_store.recipe import Imported, Shipped, definition_of
from model_store.sources.base import Source, fit_samples, name_inputs
from model_store.sources.opening import local_files, make_source

NEAR_ONE = 1e-3


def main() -> None:
    """Write samples, labels, assets, evaluation set and reference answers into the model, and the facts for later."""
    work = step_workdir()
    recipe = work.recipe()
    if not isinstance(recipe, Shipped | Imported):
        raise TypeError(f"{type(recipe).__name__} has a step of its own")
    definition = definition_of(recipe)
    samples = definition.samples()
    source = make_source(
        definition.source(), [dict(sample.inputs) for sample in samples], definition.inputs, definition.outputs
    )
    _refuse_text(source.signature)
    try:
        check_preprocessing(definition.preprocessing, source.signature)
        check_postprocessing(definition.postprocessing, source.signature)
    except ValueError as error:
        raise BuildFailed(str(error)) from None
    max_batch = definition.max_batch_size if source.signature.batched else 0
    names = [sample.name for sample in samples] or ["made-up"]
    fitted = dict(zip(names, source.samples, strict=True))
    _write_samples(work.model / "samples", fitted, {sample.name: sample.picture for sample in samples})
    for name, path in definition.assets().items():
        shutil.copy(path, work.model / name)
    evaluation = _evaluation(definition, source.signature)
    if evaluation is not None:
        write_evaluation(work.model, evaluation)

    sets = parity_inputs(fitted, dataset_rows(evaluation), source.signature, max_batch)
    answers, again = (
        {name: source.run(tensors) for name, tensors in sets.items()},
        {name: source.run(tensors) for name, tensors in sets.items()},
    )
    tolerance = Tolerance(absolute=definition.tolerance)
    check_source(definition.name, sets, answers, again, source.signature, tolerance, source.scores)
    save_tensors(work.inputs, sets)
    save_tensors(work.reference, answers)

    labels = _labels(definition, source, work.model)
    postprocessing = definition.postprocessing or _postprocessing(source, labels, answers)
    scores = scores_output(postprocessing)
    metrics = {}
    if evaluation is not None and scores is not None:
        metrics["accuracy"] = accuracy(source, evaluation, scores)
    work.frozen.mkdir()
    files = local_files(Path(recipe.path)) if isinstance(recipe, Imported) and recipe.path.endswith(".py") else []
    work.write_facts(
        Facts(
            framework=source.framework,
            origin=source.description,
            variant_of="",
            description=definition.description or source.description,
            license=definition.license,
            signature=signature_entry(source.signature),
            max_batch_size=max_batch,
            preprocessing=definition.preprocessing,
            postprocessing=postprocessing,
            tolerance=definition.tolerance,
            missing_forms=source.freeze(work.frozen),
            metrics=metrics,
            files={str(path): sha256(path) for path in files},
        )
    )


def write_evaluation(model: Path, evaluation: Evaluation) -> None:
    """Keep the labelled inputs in the model: variants and later checks are measured on the same."""
    folder = model / "evaluation"
    folder.mkdir()
    save_arrays(folder / "inputs.npz", evaluation.inputs)
    np.save(folder / "classes.npy", evaluation.classes)


def _evaluation(definition: ModelDefinition, signature: Signature) -> Evaluation | None:
    if definition.evaluation is None:
        return None
    found = definition.evaluation()
    names = [spec.name for spec in signature.inputs]
    (inputs,) = fit_samples(name_inputs([dict(found.inputs)], names), signature.inputs)
    rows = {name: len(array) for name, array in inputs.items()} | {"classes": len(found.classes)}
    if len(set(rows.values())) > 1:
        raise BuildFailed(f"the evaluation set's arrays have different numbers of rows: {rows}")
    return Evaluation(inputs, np.asarray(found.classes).astype(np.int64).reshape(-1))


def _write_samples(folder: Path, samples: Mapping[str, Tensors], pictures: Mapping[str, bytes | None]) -> None:
    folder.mkdir()
    for name, tensors in samples.items():
        if len(tensors) == 1:
            np.save(folder / f"{name}.npy", next(iter(tensors.values())))
        else:
            save_arrays(folder / f"{name}.npz", tensors)
        picture = pictures.get(name)
        if picture is not None:
            (folder / f"{name}.png").write_bytes(picture)


def _labels(definition: ModelDefinition, source: Source, model: Path) -> Sequence[str]:
    labels = definition.labels() if definition.labels is not None else source.labels
    fitting = [
        spec
        for spec in source.signature.outputs
        if {len(labels), -1} & {*spec.shape[1:]} or (spec.datatype not in FLOATS and not spec.shape[1:])
    ]
    if definition.labels is not None and not fitting:
        shapes = ", ".join(f"{spec.name} {[*spec.shape[1:]]}" for spec in source.signature.outputs)
        raise BuildFailed(f"{len(labels)} labels are given, and no output has a score for each: a row has {shapes}")
    if labels:
        (model / "labels.txt").write_text("".join(f"{label}\n" for label in labels), "utf-8")
    return labels


def _postprocessing(
    source: Source, labels: Sequence[str], answers: Mapping[str, Mapping[str, Array]]
) -> tuple[PostStep, ...]:
    """What turns the answer into classes, where there are labels and an output with one score for each."""
    scores = source.scores or next(
        (spec.name for spec in source.signature.outputs if labels and spec.shape[1:] == (len(labels),)), None
    )
    if scores is None:
        return ()
    top = TopK(output=scores, k=min(5, max(1, len(labels))))
    return (top,) if _are_probabilities([answer[scores] for answer in answers.values()]) else (Softmax(scores), top)


def _are_probabilities(outputs: Sequence[Array]) -> bool:
    rows = np.concatenate([output.reshape(-1, output.shape[-1]) for output in outputs]).astype(np.float64)
    return bool((rows >= 0).all() and np.abs(rows.sum(-1) - 1).max() < NEAR_ONE)


def _refuse_text(signature: Signature) -> None:
    text = [spec.name for spec in (*signature.inputs, *signature.outputs) if spec.datatype is Datatype.BYTES]
    if text:
        raise BuildFailed(
            f"{', '.join(text)}: text tensors are not carried by every server; serve the model on numbers, with "
            f"tokenising declared as preprocessing"
        )


if __name__ == "__main__":
    main()
