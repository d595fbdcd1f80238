"""Build one model: export, convert, prove equal, publish. The table of contents of the model store."""

from __future__ import annotations

import errno
import json
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from model_store.build_key import build_key, tool_versions
from model_store.definitions import get_definition
from model_store.definitions.base import Array, ModelDefinition
from model_store.engines import ENGINES
from model_store.errors import BuildFailed, CorruptArtifact, CorruptManifest, ModelMissing
from model_store.exporters.workdir import Workdir, load_tensors, save_tensors
from model_store.manifest import (
    FORMAT,
    Artifact,
    Manifest,
    checksums,
    save_manifest,
    signature_entry,
    verify_checksums,
)
from model_store.parity import Difference, check, compare, parity_inputs, summarize
from model_store.publish import LOGS, build_lock, publish, staging
from model_store.steps import Progress, StepRunner
from model_store.store import ModelStore, StoredModel

SCRATCH = ".scratch"  # inside the staging folder, gone before it is published
SOURCE = "source"  # the original module, beside the three engines in the parity gate


@dataclass(slots=True, frozen=True)
class BuildResult:
    """What ``build`` did: the model as it stands, whether it was built now, and in how many seconds."""

    model: StoredModel
    built: bool
    seconds: float


def build(name: str, store: ModelStore, progress: Progress, *, force: bool = False) -> BuildResult:
    """Build the model called ``name`` unless the store has it just so.

    Args:
        name: a model definition.
        store: where to publish it.
        progress: told what is running.
        force: build even when nothing changed.

    Raises:
        UnknownDefinition: no such definition.
        BuildFailed: a step failed or the engines disagree; the store is as it was.
    """
    started = time.monotonic()
    definition = get_definition(name)
    tools = tool_versions(definition)
    key = build_key(definition, tools)
    home = store.root / name
    try:
        with build_lock(home, waiting=lambda: progress.say(f"{name}: waiting for another build of it to end")):
            current = None if force else _up_to_date(definition, store, key)
            if current is None:
                with staging(home) as folder:
                    _build(definition, folder, StepRunner(name, home / LOGS, folder / SCRATCH, progress), tools, key)
                    publish(folder, home, definition.version)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise BuildFailed(f"{name}: {reason} ({error.filename or store.root}); the store is as it was") from error
    model = current or store.get(name, definition.version)
    return BuildResult(model, built=current is None, seconds=time.monotonic() - started)


def _up_to_date(definition: ModelDefinition, store: ModelStore, key: str) -> StoredModel | None:
    """The stored model if it came from the same key and is whole."""
    try:
        model = store.get(definition.name, definition.version)
        verify_checksums(model.directory, model.manifest)
    except (ModelMissing, CorruptManifest, CorruptArtifact):
        return None
    return model if model.manifest.build_key == key else None


def _build(definition: ModelDefinition, folder: Path, steps: StepRunner, tools: dict[str, str], key: str) -> None:
    work = Workdir(folder, folder / SCRATCH)
    name = definition.name
    arguments = (name, work.model, work.scratch)
    steps.run("samples", "model_store.exporters.samples", arguments)
    save_tensors(work.inputs, parity_inputs(_samples(definition, folder), definition.signature))
    steps.run("PyTorch export and ONNX", "model_store.exporters.pytorch", arguments)
    steps.run("TorchServe archive", "model_store.exporters.torchserve", arguments)
    steps.run("TensorFlow SavedModel", "model_store.exporters.tensorflow", arguments)
    # The engines open a model through its manifest, so there is one before the verdict is in.
    draft = _manifest(definition, folder, json.loads(work.metrics.read_text()), tools, key)
    save_manifest(folder, draft)
    run_engines(work, steps)
    differences = compare({who: load_tensors(work.outputs(who)) for who in (SOURCE, *ENGINES)})
    check(name, differences, definition.tolerance)
    (folder / "parity.json").write_bytes(_parity_json(differences, definition.tolerance))
    shutil.rmtree(work.scratch)
    summary = summarize(differences, definition.tolerance)
    save_manifest(folder, msgspec.structs.replace(draft, parity=summary, files=_loose_files(folder)))


def run_engines(work: Workdir, steps: StepRunner) -> None:
    """Let every engine answer ``work.inputs``, each in a process of its own.

    Raises:
        BuildFailed: one cannot load its artefact or run it.
    """
    for kind in ENGINES:
        steps.run(f"parity {kind}", "model_store.parity_run", (kind, work.model, work.inputs, work.outputs(kind)))


def _samples(definition: ModelDefinition, folder: Path) -> dict[str, dict[str, Array]]:
    (spec,) = definition.signature.inputs
    return {path.stem: {spec.name: np.load(path)} for path in sorted((folder / "samples").glob("*.npy"))}


def _manifest(
    definition: ModelDefinition, folder: Path, metrics: dict[str, float], tools: dict[str, str], key: str
) -> Manifest:
    paths = {
        "torchserve": folder / "torchserve" / f"{definition.name}.mar",
        "tensorflow": folder / "tensorflow",
        "onnx": folder / "onnx" / "model.onnx",
    }
    return Manifest(
        format=FORMAT,
        name=definition.name,
        version=definition.version,
        description=definition.description,
        license=definition.license,
        signature=signature_entry(definition.signature),
        max_batch_size=definition.max_batch_size,
        preprocessing=definition.preprocessing,
        labels="labels.txt" if definition.labels is not None else None,
        classification=definition.classification,
        artifacts={target: _artifact(folder, path) for target, path in paths.items()},
        parity={},
        metrics=metrics,
        samples=tuple(sorted(f"samples/{path.name}" for path in (folder / "samples").iterdir())),
        files={},
        tools=tools,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        build_key=key,
    )


def _artifact(folder: Path, path: Path) -> Artifact:
    files = checksums(folder, path)
    size = sum((folder / relative).stat().st_size for relative in files)
    return Artifact(path.relative_to(folder).as_posix(), size, files)


def _loose_files(folder: Path) -> dict[str, str]:
    loose = [path for path in ("labels.txt", "parity.json", "samples") if (folder / path).exists()]
    return {relative: digest for path in loose for relative, digest in checksums(folder, folder / path).items()}


def _parity_json(differences: list[Difference], tolerance: float) -> bytes:
    return msgspec.json.format(msgspec.json.encode({"tolerance": tolerance, "differences": differences}), indent=2)
