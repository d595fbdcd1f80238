"""Step: an exported PyTorch program from a Keras model, with Keras running on PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from model_store.exporters.forms import KERAS, PROGRAM
from model_store.exporters.workdir import load_tensors, step_workdir
from model_store.recipe import Imported
from model_store.sources.keras import KerasSource, load_keras
from model_store.sources.opening import import_file
from model_store.sources.pytorch import export_program


def main() -> None:
    """Write ``program.pt2`` beside the other frozen forms. Runs with ``KERAS_BACKEND=torch``."""
    work = step_workdir()
    recipe = work.recipe()
    if isinstance(recipe, Imported) and recipe.path.endswith(".py"):
        import_file(Path(recipe.path))  # the user's own layers register themselves
    signature = work.facts().model_signature()
    sample = next(iter(load_tensors(work.inputs).values()))
    model = load_keras(work.frozen / KERAS, trust=True)  # the build wrote it from a model that was trusted already
    inputs = [spec.name for spec in signature.inputs]
    source = KerasSource(model, [sample], [spec.name for spec in signature.outputs], inputs)
    module = _Module(model, source, inputs)
    program = export_program(module, signature, sample)
    # Keras' layers write in place here and there, which compilation ahead of time does not take.
    torch.export.save(program.run_decompositions({}), work.frozen / PROGRAM)


class _Module(torch.nn.Module):  # type: ignore[misc]
    """The model as PyTorch's exporter wants it: tensors by position in, a tuple out."""

    def __init__(self, model: Any, source: KerasSource, inputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self._source = source
        self._inputs = inputs

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        return tuple(self._source.call(dict(zip(self._inputs, tensors, strict=True))).values())


if __name__ == "__main__":
    main()
