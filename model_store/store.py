"""Reading the store: ``<root>/<name>/<version>/`` holds one built model and its manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_store.errors import CorruptArtifact, ModelMissing
from model_store.manifest import FILE_NAME, Manifest, load_manifest

Array = npt.NDArray[np.generic]

DEFAULT_ROOT = Path(".models")
ROOT_VARIABLE = "GATEWAY_MODEL_STORE"


def default_root() -> Path:
    """``$GATEWAY_MODEL_STORE``, else ``.models`` in the current directory."""
    return Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT)


@dataclass(slots=True, frozen=True)
class StoredModel:
    """One built version. ``directory`` is the real path: it stays whole while a new build takes the name over."""

    directory: Path
    manifest: Manifest

    def artifact(self, target: str) -> Path:
        """Path of the artefact for ``target`` (torchserve, tensorflow, onnx).

        Raises:
            CorruptArtifact: the model was built without it.
        """
        artifact = self.manifest.artifacts.get(target)
        if artifact is None:
            built = [*self.manifest.artifacts]
            raise CorruptArtifact(f"{self.manifest.name}: no artefact for {target}; it has {built}")
        return self.directory / artifact.path

    def labels(self) -> list[str]:
        """One label a class; empty when the model has none."""
        if self.manifest.labels is None:
            return []
        return (self.directory / self.manifest.labels).read_text(encoding="utf-8").splitlines()

    def samples(self) -> dict[str, Mapping[str, Array]]:
        """Real inputs by sample name: input name → array with a batch dimension of 1."""
        return {path.stem: self._tensors(path) for path in self.sample_files()}

    def sample(self, name: str) -> Mapping[str, Array]:
        """One of ``samples``."""
        return next(self._tensors(path) for path in self.sample_files() if path.stem == name)

    def answered_samples(self) -> list[str]:
        """Names of the samples to which the answers of the model's source are kept."""
        names = [path.stem for path in self.sample_files()]
        return [name for name in names if self._answer_file(name).is_file()]

    def answer(self, sample: str) -> Mapping[str, Array]:
        """What the model's source answered to one of ``answered_samples``: output name → array."""
        return dict(np.load(self._answer_file(sample), allow_pickle=False))

    def _answer_file(self, sample: str) -> Path:
        return self.directory / "reference" / f"sample-{sample}.npz"

    def sample_files(self) -> list[Path]:
        """The files of ``samples``: ``.npy`` for one input, ``.npz`` with one array an input for several."""
        return [self.directory / path for path in self.manifest.samples if path.endswith((".npy", ".npz"))]

    def _tensors(self, path: Path) -> dict[str, Array]:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {self.manifest.signature.inputs[0].name: loaded}
        return {spec.name: loaded[spec.name] for spec in self.manifest.signature.inputs}

    def pictures(self) -> dict[str, Path]:
        """The photographs that the samples were made from, by sample name; empty when it takes no pictures."""
        return {Path(path).stem: self.directory / path for path in self.manifest.samples if path.endswith(".png")}


class ModelStore:
    """The built models under one root directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Names that have at least one built version, in alphabetical order."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if self.versions(path.name))

    def versions(self, name: str) -> list[str]:
        """Built versions of ``name``, oldest first; empty when there is none."""
        directory = self.root / name
        if _leaves(name) or not directory.is_dir():
            return []
        found = [path.name for path in directory.iterdir() if path.name.isdecimal() and (path / FILE_NAME).is_file()]
        return sorted(found, key=int)

    def get(self, name: str, version: str = "") -> StoredModel:
        """One built model; the latest version by default.

        Raises:
            ModelMissing: nothing of that name and version is built; says what is, and how to build it.
            CorruptManifest: its manifest cannot be read.
        """
        versions = self.versions(name)
        if not versions:
            built = ", ".join(self.names()) or "none"
            raise ModelMissing(
                f"model {name!r} is not in the store {self.root} (built: {built}); "
                f"build it with: model-store build {name}, or bring your own with: model-store import"
            )
        if version and version not in versions:
            raise ModelMissing(f"model {name!r} has no version {version!r} in {self.root} (built: {versions})")
        directory = (self.root / name / (version or versions[-1])).resolve()
        return StoredModel(directory, load_manifest(directory))


def _leaves(name: str) -> bool:
    return not name or name.startswith(".") or "/" in name
