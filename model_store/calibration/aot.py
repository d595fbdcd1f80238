"""An exported program compiled for this machine's processor, in the build, so that a server needs no compiler."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from model_store.errors import BuildFailed
from model_store.oip_handler.library import FACTS, host_facts, program_facts

# oneDNN's packed weights save large layers up to a quarter of their time, and cost small ones 20 µs a call.
PACKED_FROM = 1 << 20  # bytes of weights: about what a core's second-level cache holds


def compile_aot(program: Path, target: Path) -> None:
    """Compile the exported program in ``program`` into ``target``, for any of the batch sizes it was exported for.

    Takes 10 to 90 s; the caller sets the limit.

    Raises:
        BuildFailed: there is no C++ compiler here, another kind of processor, or the program cannot be compiled.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise BuildFailed(f"there is no C++ compiler {compiler!r} here")
    exported = torch.export.load(program)
    try:
        facts = host_facts() | program_facts(exported)
    except ValueError as error:
        raise BuildFailed(f"the program cannot be compiled: {error}") from error
    weights = sum(tensor.numel() * tensor.element_size() for tensor in exported.state_dict.values())
    options = {
        "freezing": weights >= PACKED_FROM,
        "cpp.march": _architecture(facts),
        "aot_inductor.metadata": {FACTS: json.dumps(facts)},
    }
    try:
        with torch.no_grad():  # freezing wants it
            torch._inductor.aoti_compile_and_package(exported, package_path=str(target), inductor_configs=options)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BuildFailed(f"AOTInductor cannot compile the program: {reason}") from error


def _architecture(facts: dict[str, Any]) -> str:
    """A level of instructions that ``facts`` names wholly; "native" would use some that PyTorch does not report."""
    if facts["architecture"] != "x86_64":
        raise BuildFailed(f"programs are compiled for x86_64 processors, this one is {facts['architecture']}")
    features = {*facts["features"]}
    if {"avx512_f", "avx512_bw", "avx512_cd", "avx512_dq", "avx512_vl"} <= features:
        return "x86-64-v4"
    return "x86-64-v3" if {"avx2", "bmi", "bmi2", "f16c", "fma3", "lzcnt"} <= features else "x86-64"
