"""Which frameworks can run a model, and with what of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from model_store.engines import CPU, ENGINES, Engine, open_engine
from model_store.engines.archive import models_in
from model_store.errors import StoreError
from model_store.manifest import Artifact, load_manifest
from model_store.oip_handler.runtime import GRAPH
from model_store.originals import Given, not_kept, open_original, remake
from model_store.store import StoredModel

PYTORCH, TENSORFLOW, KERAS, SKLEARN, ONNXRUNTIME = "PyTorch", "TensorFlow", "Keras", "scikit-learn", "ONNX Runtime"
FRAMEWORKS = (PYTORCH, TENSORFLOW, KERAS, SKLEARN, ONNXRUNTIME)

_ENGINES = {PYTORCH: "pytorch", TENSORFLOW: "tensorflow", ONNXRUNTIME: "onnxruntime"}
# Frameworks whose models are measured themselves, not what was made of them → the manifest's name for them.
_ORIGINALS = {KERAS: "keras", SKLEARN: "scikit-learn"}

Opener = Callable[[int], Engine]  # of the CPU threads that one inference may use; goes to another process


class Contestant(NamedTuple):
    """A framework that can run the model; ``runs`` says what of it."""

    framework: str
    runs: str
    open: Opener


class Absent(NamedTuple):
    """A framework that cannot, and why."""

    framework: str
    reason: str


class Broken(NamedTuple):
    """A framework that should, and why it cannot."""

    framework: str
    problem: str


def line_up(stored: StoredModel, folder: Path, given: Given | None = None) -> list[Contestant | Absent | Broken]:
    """All ``FRAMEWORKS``; the original, ``given`` or made again, is put into the empty ``folder``."""
    return [
        _translated(framework, stored) if framework in _ENGINES else _original(framework, stored, folder, given)
        for framework in FRAMEWORKS
    ]


def measures_original(stored: StoredModel) -> bool:
    """Whether the original is of a framework whose models are measured themselves."""
    return stored.manifest.origin.framework in _ORIGINALS.values()


def _translated(framework: str, stored: StoredModel) -> Contestant | Absent | Broken:
    kind = _ENGINES[framework]
    target, _, _ = ENGINES[kind]
    artifact = stored.manifest.artifacts.get(target)
    if artifact is None:
        attempts = stored.manifest.failed.get(target, ())
        return Absent(framework, attempts[-1].reason if attempts else f"it was built without an artefact for {target}")
    try:
        if framework == PYTORCH and GRAPH in models_in(stored.directory / artifact.path):
            return Absent(framework, "its TorchServe archive holds the ONNX graph, which ONNX Runtime runs")
    except (StoreError, OSError) as error:
        return Broken(framework, str(error))
    return Contestant(framework, _described(artifact), partial(_open_artifact, kind, stored.directory))


def _original(framework: str, stored: StoredModel, folder: Path, given: Given | None) -> Contestant | Absent | Broken:
    origin = stored.manifest.origin
    if origin.framework != _ORIGINALS[framework]:
        return Absent(framework, f"the original is of {origin.framework}: {origin.source}")
    reason = "" if given else not_kept(stored.manifest)
    if reason:
        return Absent(framework, reason)
    try:
        original = remake(stored, folder, given)
    except StoreError as error:
        return Broken(framework, str(error))
    return Contestant(framework, f"original, {original.calls}", partial(_open_remade, folder, stored.directory))


def _described(artifact: Artifact) -> str:
    settings = [str(value) if name == "mode" else f"{name} {value}" for name, value in artifact.settings.items()]
    return ", ".join([artifact.route, *settings])


def _open_artifact(kind: str, directory: Path, threads: int) -> Engine:
    return open_engine(kind, directory, load_manifest(directory), CPU, threads)


def _open_remade(folder: Path, directory: Path, threads: int) -> Engine:
    return open_original(folder, load_manifest(directory).model_signature(), threads)
