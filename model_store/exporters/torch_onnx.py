"""Step: ONNX from the exported PyTorch program, or from TorchScript where that does not work."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import onnx
import torch

from model_store.errors import BuildFailed
from model_store.exporters.decompositions import DECOMPOSITIONS
from model_store.exporters.forms import PROGRAM, SCRIPT
from model_store.exporters.onnx_graph import finish
from model_store.exporters.workdir import Workdir, load_tensors, step_workdir
from model_store.oip_handler.program import to_torch
from model_store.sources.base import first_line, repeat_rows
from model_store.sources.pytorch import EXAMPLE_BATCH

OPSET_OF_TRACES = 17  # the newest that the TorchScript exporter writes well
_OPERATOR = re.compile(r"\b(?:aten|prims|torchvision|quantized)(?:\.|::)[a-z_]\w*")


def main() -> None:
    """Write ``onnx/model.onnx``; the third argument says what from: ``program`` or ``script``."""
    work = step_workdir()
    raw = work.scratch / "exported.onnx"
    try:
        if sys.argv[3] == "program":
            _from_program(work.frozen / PROGRAM, raw)
        else:
            _from_script(work, raw)
    except Exception as error:
        raise BuildFailed(refusal(error)) from error
    finish(onnx.load(raw), work.facts().model_signature(), work.onnx)


def _from_program(program: Path, target: Path) -> None:
    loaded = torch.export.load(program).run_decompositions(DECOMPOSITIONS)
    torch.onnx.export(loaded, (), target, dynamo=True, external_data=False)


def refusal(error: BaseException) -> str:
    """Which operator stopped torch.onnx, and why, from the chain of errors that it raises."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    names = [name for one in chain for name in _OPERATOR.findall(str(one))]
    reason = first_line(chain[-1])
    if not names:
        return reason
    unknown = any(sign in reason for sign in ("No ONNX function found", "is not supported"))
    return f"ONNX has no operator for {names[-1]}" if unknown else f"{names[-1]} cannot be converted: {reason}"


def _from_script(work: Workdir, target: Path) -> None:
    signature = work.facts().model_signature()
    module = torch.jit.load(str(work.frozen / SCRIPT))
    axes = {
        spec.name: {axis: f"{spec.name}_{axis}" for axis, size in enumerate(spec.shape) if size == -1}
        for spec in (*signature.inputs, *signature.outputs)
    }
    torch.onnx.export(
        module,
        _example(work),
        target,
        input_names=[spec.name for spec in signature.inputs],
        output_names=[spec.name for spec in signature.outputs],
        dynamic_axes=axes,
        opset_version=OPSET_OF_TRACES,
        dynamo=False,
    )


def _example(work: Workdir) -> tuple[Any, ...]:
    signature = work.facts().model_signature()
    tensors = next(iter(load_tensors(work.inputs).values()))
    rows = EXAMPLE_BATCH if signature.batched else None
    return tuple(
        to_torch(repeat_rows(tensors[spec.name], rows) if rows else tensors[spec.name], spec.datatype)
        for spec in signature.inputs
    )


if __name__ == "__main__":
    main()
