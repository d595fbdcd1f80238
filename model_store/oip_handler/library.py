"""A program compiled ahead of time by AOTInductor: loaded without a compiler, on processors that have what it uses.

The compiled code trusts its inputs: it reads past the end of a tensor that is smaller than it should be. So the
package says what the program's inputs are, and each call is checked.
"""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

FACTS = "gateway"  # our entry in the package's own metadata

logger = logging.getLogger(__name__)


def host_facts() -> dict[str, Any]:
    """What a library that was compiled here needs of the machine it runs on."""
    found = torch.cpu.get_capabilities()
    features = sorted(name for name, value in found.items() if value is True)
    return {"torch": torch.__version__, "architecture": found["architecture"], "features": features}


def program_facts(program: torch.export.ExportedProgram) -> dict[str, Any]:
    """What a call of ``program`` must keep to: datatypes and sizes; a name stands for the same size everywhere.

    Raises:
        ValueError: a size is computed from others, which ``Library`` does not check.
    """
    wanted = program.graph_signature.user_inputs
    tensors = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]
    inputs = [
        [str(tensor.dtype), [size if isinstance(size, int) else str(size) for size in tensor.shape]]
        for tensor in tensors
    ]
    computed = [size for _, shape in inputs for size in shape if isinstance(size, str) and not size.isidentifier()]
    if computed:
        raise ValueError(f"the inputs' sizes {', '.join(computed)} are computed from others")
    bounds = {str(symbol): str(found.upper) for symbol, found in program.range_constraints.items()}
    return {"inputs": inputs, "largest": {name: int(upper) for name, upper in bounds.items() if upper.isdecimal()}}


def load_library(path: Path) -> Library | None:
    """The library in ``path``, or None where it cannot run: then the program runs as it is, and a log line says so."""
    try:
        facts = _read_facts(path)
        here = host_facts()
        lacking = set(facts["features"]) - set(here["features"])
        if (facts["torch"], facts["architecture"]) != (here["torch"], here["architecture"]) or lacking:
            raise RuntimeError(
                f"it was made for torch {facts['torch']} on {facts['architecture']} with "
                f"{', '.join(facts['features'])}; here is torch {here['torch']} on {here['architecture']}"
                + (f" without {', '.join(sorted(lacking))}" if lacking else "")
            )
        return Library(_load(path), facts["inputs"], facts["largest"])
    except Exception as error:
        logger.warning("%s cannot be used, the program runs uncompiled: %s", path.name, error)
        return None


class Library:
    """Callable as the program itself: tensors in order in, a list of tensors out."""

    def __init__(
        self,
        run: Callable[[list[torch.Tensor]], list[torch.Tensor]],
        inputs: Sequence[tuple[str, Sequence[int | str]]],
        largest: Mapping[str, int],
    ) -> None:
        # Straight to the loader: the package's own call takes its arguments apart as trees, for 10 µs each time.
        self._run = run
        self._inputs = [(getattr(torch, dtype.removeprefix("torch.")), shape) for dtype, shape in inputs]
        self._largest = largest

    def __call__(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        sizes: dict[str, int] = {}
        for tensor, (dtype, shape) in zip(tensors, self._inputs, strict=True):
            fits = tensor.dtype == dtype and tensor.dim() == len(shape)
            if not fits or not all(map(self._fits, tensor.shape, shape, [sizes] * len(shape))):
                raise ValueError(f"{tensor.dtype} {list(tensor.shape)} does not fit the program's {dtype} {shape}")
        return self._run([*tensors])

    def _fits(self, size: int, wanted: int | str, sizes: dict[str, int]) -> bool:
        if isinstance(wanted, int):
            return size == wanted
        return size == sizes.setdefault(wanted, size) and size <= self._largest.get(wanted, math.inf)


def _load(path: Path) -> Callable[[list[torch.Tensor]], list[torch.Tensor]]:
    from torch._inductor.package import load_package  # torch itself does not bring it along

    # PyTorch unpacks it into a temporary folder, which a worker that TorchServe kills would leave behind. Once the
    # library is loaded, the folder is of no use.
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder
        try:
            # Each thread that calls at the same time gets a runner of its own; they share the weights.
            package = load_package(str(path), num_runners=os.cpu_count() or 1)
        finally:
            del os.environ["TMPDIR"]
            if before is not None:
                os.environ["TMPDIR"] = before
    return package.loader.run  # type: ignore[no-any-return]


def _read_facts(path: Path) -> dict[str, Any]:
    # From the zip file itself: loading the library runs its code already.
    with zipfile.ZipFile(path) as package:
        name = next(name for name in package.namelist() if name.endswith("wrapper_metadata.json"))
        return json.loads(json.loads(package.read(name))[FACTS])  # type: ignore[no-any-return]
