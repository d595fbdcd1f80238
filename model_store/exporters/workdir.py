"""Where the steps of one build leave what the next ones pick up."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from gateway.core.signatures import Signature
from model_store.definitions.base import Array
from model_store.errors import BuildFailed
from model_store.manifest import SignatureEntry, model_signature
from model_store.processing.steps import PostStep, PreStep, scores_output
from model_store.recipe import Recipe

Tensors = dict[str, Array]


class Facts(msgspec.Struct, frozen=True):
    """What the source turned out to be.

    Attributes:
        framework: which routes lead to the servers.
        origin: the source in a few words.
        variant_of: the model that this one is another precision of; else empty.
        tolerance: the user's own absolute tolerance; None for what the datatype allows.
        missing_forms: frozen forms that could not be made → why.
        metrics: measured on the source itself (``accuracy``).
        files: files outside the store that the model was made of → SHA-256; a change of one is a new build.
    """

    framework: str
    origin: str
    variant_of: str
    description: str
    license: str
    signature: SignatureEntry
    max_batch_size: int
    preprocessing: tuple[PreStep, ...]
    postprocessing: tuple[PostStep, ...]
    tolerance: float | None
    missing_forms: dict[str, str]
    metrics: dict[str, float]
    files: dict[str, str]

    def model_signature(self) -> Signature:
        """The signature in the gateway's terms."""
        return model_signature(self.signature)

    @property
    def scores(self) -> str | None:
        """The output that holds one score a class; None when the model is no classifier."""
        return scores_output(self.postprocessing)


@dataclass(slots=True, frozen=True)
class Workdir:
    """One build in the making: ``model`` is published as it stands, ``scratch`` is thrown away."""

    model: Path
    scratch: Path

    @property
    def frozen(self) -> Path:
        """Folder of the source's frozen forms."""
        return self.scratch / "source"

    @property
    def inputs(self) -> Path:
        """Folder of the parity gate's inputs."""
        return self.scratch / "inputs"

    @property
    def reference(self) -> Path:
        """Folder of the source's own answers to them; part of the model, so that it can be verified for ever."""
        return self.model / "reference"

    @property
    def onnx(self) -> Path:
        """The ONNX artefact."""
        return self.model / "onnx" / "model.onnx"

    def outputs(self, engine: str) -> Path:
        """Folder of what ``engine`` answered to the parity gate's inputs."""
        return self.scratch / "outputs" / engine

    def proof(self, engine: str) -> Path:
        """JSON of what was measured on ``engine``."""
        return self.scratch / f"proof-{engine}.json"

    def recipe(self) -> Recipe:
        """What is being built."""
        recipe: Recipe = msgspec.json.decode((self.scratch / "recipe.json").read_bytes(), type=Recipe)
        return recipe

    def write_recipe(self, recipe: Recipe) -> None:
        """Leave ``recipe`` for the steps."""
        (self.scratch / "recipe.json").write_bytes(msgspec.json.encode(recipe))

    def facts(self) -> Facts:
        """What the first step found out.

        Raises:
            BuildFailed: it left nothing, because the user's code ended its process as if all was well.
        """
        if not (self.scratch / "facts.json").exists():
            raise BuildFailed(f"{self.recipe().name}: the model's code ended the process before the model was read")
        return msgspec.json.decode((self.scratch / "facts.json").read_bytes(), type=Facts)

    def write_facts(self, facts: Facts) -> None:
        """Leave ``facts`` for the other steps."""
        (self.scratch / "facts.json").write_bytes(msgspec.json.encode(facts))


def step_workdir() -> Workdir:
    """The working directory, from the command line that the build starts a step with."""
    model, scratch = sys.argv[1:3]
    return Workdir(Path(model), Path(scratch))


def save_tensors(folder: Path, sets: dict[str, Tensors]) -> None:
    """Write each named set of tensors as one ``.npz``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in sets.items():
        save_arrays(folder / f"{name}.npz", tensors)


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an ``.npz``; unlike ``np.savez``, whose names are keywords, with any names, and never a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def load_tensors(folder: Path) -> dict[str, Tensors]:
    """What ``save_tensors`` wrote, in alphabetical order of the sets."""
    return {path.stem: dict(np.load(path, allow_pickle=False)) for path in sorted(folder.glob("*.npz"))}
