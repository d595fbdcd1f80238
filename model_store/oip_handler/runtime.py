"""What an archive holds, made ready to run: a program in PyTorch or a graph in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .wire import Spec

Array = npt.NDArray[Any]

# Names inside the archive. One of the first three is the model; the last one belongs to a program.
PROGRAM, SCRIPT, GRAPH, LIBRARY = "program.pt2", "script.pt", "model.onnx", "aot.pt2"


class Runtime(Protocol):
    """A loaded model.

    Attributes:
        framework: ``PyTorch`` or ``ONNX Runtime``.
        version: the framework's own version.
        device: where it runs: ``cpu`` or ``cuda:N``.
    """

    framework: str
    version: str
    device: str

    def run(self, arrays: Sequence[Array]) -> list[np.ndarray[Any, Any]]:
        """All outputs in order for all inputs in order. Safe to call from several threads at once."""
        ...


def open_runtime(
    directory: Path,
    inputs: Sequence[Spec],
    outputs: Sequence[Spec],
    *,
    settings: Mapping[str, Any],
    device: str,
    threads: int,
    gpu: int = 0,
) -> Runtime:
    """Load the model among an archive's files. Only the framework that it needs is imported.

    Args:
        directory: where the archive is unpacked.
        inputs: what the model takes, in order.
        outputs: what it gives, in order.
        settings: as ``settings.json`` holds them.
        device: ``cpu``, ``cuda:N`` or ``auto``.
        threads: CPU threads that one inference may use; 0 for the framework's own choice.
        gpu: the GPU that ``auto`` means.
    """
    if (directory / GRAPH).exists():
        from .graph import GraphRuntime

        names = [spec.name for spec in inputs], [spec.name for spec in outputs]
        return GraphRuntime.load(directory / GRAPH, *names, settings=settings, device=device, threads=threads, gpu=gpu)
    from .program import ProgramRuntime

    datatypes = [spec.datatype for spec in inputs]
    return ProgramRuntime.load(directory, datatypes, settings=settings, device=device, threads=threads, gpu=gpu)
