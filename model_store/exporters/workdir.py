"""Where the steps of one build leave what the next ones pick up."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_store.definitions.base import Array

Tensors = dict[str, Array]


@dataclass(slots=True, frozen=True)
class Workdir:
    """One build in the making: ``model`` is published as it stands, ``scratch`` is thrown away."""

    model: Path
    scratch: Path

    @property
    def program(self) -> Path:
        """The exported PyTorch program, the source of all three artefacts."""
        return self.scratch / "program.pt2"

    @property
    def metrics(self) -> Path:
        """JSON of what the source measured on itself."""
        return self.scratch / "metrics.json"

    @property
    def inputs(self) -> Path:
        """Folder of the parity gate's inputs."""
        return self.scratch / "inputs"

    def outputs(self, participant: str) -> Path:
        """Folder of what ``participant`` answered to the parity gate's inputs."""
        return self.scratch / "outputs" / participant


def step_arguments() -> tuple[str, Workdir]:
    """Name of the definition and working directory, from the command line the build starts a step with."""
    name, model, scratch = sys.argv[1:]
    return name, Workdir(Path(model), Path(scratch))


def save_tensors(folder: Path, sets: dict[str, Tensors]) -> None:
    """Write each named set of tensors as one ``.npz``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in sets.items():
        np.savez(folder / f"{name}.npz", **tensors)  # type: ignore[arg-type]


def load_tensors(folder: Path) -> dict[str, Tensors]:
    """What ``save_tensors`` wrote, in alphabetical order of the sets."""
    return {path.stem: dict(np.load(path, allow_pickle=False)) for path in sorted(folder.glob("*.npz"))}
