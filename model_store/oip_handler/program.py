"""A PyTorch program, exported or TorchScript: loading it, and arrays in and out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .device import CPU, resolve_device
from .fold import channels_last, fold_batch_norms
from .library import load_library
from .runtime import LIBRARY, PROGRAM, SCRIPT

Array = npt.NDArray[Any]
Program = Callable[..., Any]

EAGER, CHANNELS_LAST, AOT = "eager", "channels-last", "aot"

# Inputs are views of the request's bytes; a program never writes to its inputs.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


class ProgramRuntime:
    """A program that takes tensors in order."""

    framework = "PyTorch"
    version: str = torch.__version__

    def __init__(self, program: Program, datatypes: Sequence[str], device: str) -> None:
        self._program = program
        self._datatypes = datatypes
        self.device = device

    @classmethod
    def load(
        cls,
        directory: Path,
        datatypes: Sequence[str],
        *,
        settings: Mapping[str, Any],
        device: str,
        threads: int,
        gpu: int = 0,
    ) -> ProgramRuntime:
        """Load what lies in ``directory``; arguments as in ``open_runtime``.

        PyTorch keeps one number of threads a process: the last one's ``threads`` holds.
        """
        if threads:
            torch.set_num_threads(threads)
        device = resolve_device(device, torch.cuda.device_count(), cls.framework, gpu)
        mode = settings.get("mode", EAGER)
        library = load_library(directory / LIBRARY) if mode == AOT and device == CPU else None
        if library is not None:
            return cls(library, datatypes, device)
        # The modes are what is fastest on a CPU; a GPU runs the program as it is.
        load = load_program if (directory / PROGRAM).exists() else _load_script
        name = PROGRAM if load is load_program else SCRIPT
        return cls(load(directory / name, device, mode == CHANNELS_LAST and device == CPU), datatypes, device)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """All outputs in order for all inputs in order."""
        with torch.inference_mode():
            tensors = [
                to_torch(array, datatype).to(self.device)
                for array, datatype in zip(arrays, self._datatypes, strict=True)
            ]
            return [from_torch(result) for result in _flatten(self._program(*tensors))]


def load_program(path: Path, device: str, convolutions_first: bool = False) -> Program:
    """The exported program in ``path``, on ``device``, with or without what makes convolutions fast."""
    program = torch.export.load(path)
    if device != CPU:
        program = torch.export.passes.move_to_device_pass(program, device)
    module = program.module(check_guards=False)
    if convolutions_first:
        fold_batch_norms(module)
    # Plain calling convention in a bare module: the exported one flattens its arguments and checks shapes at
    # each call, which costs a small net more (70 µs) than its own arithmetic. Requests are checked here instead.
    module.graph.set_codegen(torch.fx.graph.CodeGen())
    bare = torch.fx.GraphModule(module, module.graph)
    return channels_last(bare) if convolutions_first else bare


def _load_script(path: Path, device: str, convolutions_first: bool) -> Program:
    module = torch.jit.load(str(path), map_location=device).eval()
    if not convolutions_first:
        return module  # type: ignore[no-any-return]
    return channels_last(torch.jit.freeze(module.to(memory_format=torch.channels_last)))


def to_torch(array: Array, datatype: str) -> torch.Tensor:
    """``array`` as a tensor; a view where the bytes allow one."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.view(torch.bfloat16) if datatype == "BF16" else tensor


def from_torch(tensor: torch.Tensor) -> Array:
    """``tensor`` as an array; BF16 as its bit patterns."""
    tensor = tensor.detach().cpu()
    array: Array = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def _flatten(results: Any) -> list[torch.Tensor]:
    # TorchScript gives what its author wrote: a tensor, some of them, or a dict.
    if isinstance(results, torch.Tensor):
        return [results]
    return [result for result in (results.values() if isinstance(results, dict) else results) if result is not None]
