"""PyTorch in this process, on the program that TorchServe runs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gateway.core.signatures import Signature
from model_store.engines import Array, resolve_device
from model_store.oip_handler.program import PROGRAM, from_torch, load_program, to_torch


class PytorchEngine:
    """The exported program inside a TorchServe archive."""

    kind = "pytorch"

    def __init__(self, program: Any, signature: Signature, device: str) -> None:
        self._program = program
        self._inputs = [(spec.name, spec.datatype.value) for spec in signature.inputs]
        self._outputs = [spec.name for spec in signature.outputs]
        self.version: str = torch.__version__
        self.device = device

    @classmethod
    def load(cls, artifact: Path, *, signature: Signature, device: str, threads: int) -> PytorchEngine:
        """Load the program out of a ``.mar``; arguments and errors as in ``open_engine``.

        PyTorch keeps one number of threads a process: the last engine's ``threads`` holds.
        """
        torch.set_num_threads(threads)
        device = resolve_device(device, torch.cuda.device_count(), "PyTorch")
        with zipfile.ZipFile(artifact) as archive:
            program = load_program(io.BytesIO(archive.read(PROGRAM)), device)
        return cls(program, signature, device)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name."""
        with torch.inference_mode():
            tensors = [to_torch(inputs[name], datatype).to(self.device) for name, datatype in self._inputs]
            results = self._program(*tensors)
        return dict(zip(self._outputs, (from_torch(result) for result in results), strict=True))
