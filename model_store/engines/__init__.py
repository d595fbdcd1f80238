"""The three frameworks behind one interface.

The same engines serve inside the gateway, race in ``loadtest frameworks`` and are compared by the parity gate.
A framework is imported only when its engine is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gateway.core.signatures import Signature
from model_store.errors import EngineError
from model_store.manifest import Manifest

Array = npt.NDArray[np.generic]

AUTO = "auto"
CPU = "cpu"


class Engine(Protocol):
    """A loaded model.

    Attributes:
        kind: ``pytorch``, ``tensorflow`` or ``onnxruntime``.
        version: the framework's own version.
        device: where it runs: ``cpu`` or ``cuda:N``.
    """

    kind: str
    version: str
    device: str

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name. Synchronous, and safe to call from several threads at once."""
        ...


# Engine → the artefact it loads, the class that loads it, and the extra that installs it.
ENGINES: dict[str, tuple[str, str, str]] = {
    "pytorch": ("torchserve", "model_store.engines.pytorch:PytorchEngine", "torchserve"),
    "tensorflow": ("tensorflow", "model_store.engines.tensorflow:TensorflowEngine", "tensorflow"),
    "onnxruntime": ("onnx", "model_store.engines.onnxruntime:OnnxruntimeEngine", "onnxruntime"),
}


def open_engine(kind: str, directory: Path, manifest: Manifest, device: str = AUTO, threads: int = 1) -> Engine:
    """Load the artefact of a built model into the framework ``kind``.

    Args:
        kind: ``pytorch``, ``tensorflow`` or ``onnxruntime``.
        directory: the built model's directory.
        manifest: its manifest.
        device: ``cpu``, ``cuda:N``, or ``auto``: the first GPU where the framework has one, else the CPU.
        threads: CPU threads that one inference may use.

    Raises:
        EngineError: unknown kind, missing package, no such device, or an artefact that cannot be loaded.
    """
    if kind not in ENGINES:
        raise EngineError(f"unknown engine {kind!r}; one of {', '.join(ENGINES)} is expected")
    target, location, extra = ENGINES[kind]
    artifact = manifest.artifacts.get(target)
    if artifact is None:
        raise EngineError(f"model {manifest.name!r} was built without an artefact for {kind}")
    path = directory / artifact.path
    if not path.exists():
        raise EngineError(f"{path} is missing; build it with: model-store build {manifest.name} --force")
    module, _, name = location.partition(":")
    try:
        engine = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"the engine {kind} needs the package {error.name!r}; "
            f"install it with: pip install 'serving-gateway[{extra}]'"
        ) from error
    return _load(engine, path, manifest.model_signature(), device, threads)


class _Loader(Protocol):
    def load(self, artifact: Path, *, signature: Signature, device: str, threads: int) -> Engine: ...


def _load(engine: _Loader, path: Path, signature: Signature, device: str, threads: int) -> Engine:
    try:
        return engine.load(path, signature=signature, device=device, threads=threads)
    except EngineError:
        raise
    except Exception as error:
        # Frameworks fail in their own many ways on a broken file; the user needs the file and the first line.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise EngineError(f"{path} cannot be loaded: {reason}") from error


def resolve_device(device: str, gpus: int, framework: str) -> str:
    """The device to run on: ``cpu`` or ``cuda:N``.

    Args:
        device: what was asked for: one of these, or ``auto``.
        gpus: how many GPUs the framework can use here.
        framework: its name, for the message.

    Raises:
        EngineError: no such device, or the framework does not reach it.
    """
    if device == AUTO:
        return "cuda:0" if gpus else CPU
    gpu = gpu_number(device)
    if gpu is not None and gpu >= gpus:
        raise EngineError(f"{framework} can use {gpus} GPUs here, so it cannot run on {device}")
    return device


def gpu_number(device: str) -> int | None:
    """The number of the GPU that ``device`` names, or None for ``cpu``.

    Raises:
        EngineError: it is neither ``cpu`` nor ``cuda:N``.
    """
    if device == CPU:
        return None
    name, _, number = device.partition(":")
    if name != "cuda" or not number.isdecimal():
        raise EngineError(f"unknown device {device!r}; one of cpu, cuda:N, auto is expected")
    return int(number)
