"""The exported PyTorch program: loading it, and arrays in and out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]

PROGRAM = "program.pt2"  # its name inside the archive

# Inputs are views of the request's bytes; a program never writes to its inputs.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def load_program(file: BinaryIO, device: str) -> Callable[..., Sequence[torch.Tensor]]:
    """The exported program in ``file``, on ``device``: takes the inputs in order, gives the outputs as a tuple."""
    program = torch.export.load(file)
    if device != "cpu":
        program = torch.export.passes.move_to_device_pass(program, device)
    module = program.module(check_guards=False)
    # Plain calling convention in a bare module: the exported one flattens its arguments and checks shapes at
    # each call, which costs a small net more (70 µs) than its own arithmetic. Requests are checked here instead.
    module.graph.set_codegen(torch.fx.graph.CodeGen())
    return torch.fx.GraphModule(module, module.graph)  # type: ignore[no-any-return]


def to_torch(array: Array, datatype: str) -> torch.Tensor:
    """``array`` as a tensor; a view where the bytes allow one."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.view(torch.bfloat16) if datatype == "BF16" else tensor


def from_torch(tensor: torch.Tensor) -> Array:
    """``tensor`` as an array; BF16 as its bit patterns."""
    tensor = tensor.detach().cpu()
    array: Array = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array
