"""The three frameworks behind one interface.

The same engines serve inside the gateway, race in ``loadtest frameworks`` and are compared by the parity gate.
A framework is imported only when its engine is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gateway.core.signatures import Signature
from model_store.errors import EngineError
from model_store.manifest import Manifest
from model_store.oip_handler.device import AUTO, CPU, NoSuchDevice

Array = npt.NDArray[np.generic]
Settings = Mapping[str, bool | int | str]

__all__ = ["AUTO", "CPU", "ENGINES", "Array", "Engine", "Settings", "candidates", "open_engine"]


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
        """All outputs by name for all inputs by name. Synchronous, and safe to call from several threads at once.

        BF16 comes and goes as bit patterns in uint16; BYTES come as objects of ``bytes`` and go as those or as ``str``.
        """
        ...


class EngineClass(Protocol):
    """What loads an artefact.

    Attributes:
        choices: every setting that the engine has, with its values; the first is the default.
    """

    choices: Mapping[str, tuple[bool | int | str, ...]]

    def candidates(self, artifact: Path) -> Sequence[Settings]:
        """The settings that an expert would try on ``artifact``; the defaults, ``{}``, come first."""
        ...

    def load(
        self, artifact: Path, *, signature: Signature, device: str, threads: int, settings: Settings
    ) -> Engine: ...


# Engine → the artefact it loads, the class that loads it, and the extra that installs it.
ENGINES: dict[str, tuple[str, str, str]] = {
    "pytorch": ("torchserve", "model_store.engines.pytorch:PytorchEngine", "torchserve"),
    "tensorflow": ("tensorflow", "model_store.engines.tensorflow:TensorflowEngine", "tensorflow"),
    "onnxruntime": ("onnx", "model_store.engines.onnxruntime:OnnxruntimeEngine", "onnxruntime"),
}


def open_engine(kind: str, directory: Path, manifest: Manifest, device: str = AUTO, threads: int = 1) -> Engine:
    """Load the artefact of a built model into the framework ``kind``, with the settings of its manifest.

    Args:
        kind: ``pytorch``, ``tensorflow`` or ``onnxruntime``.
        directory: the built model's directory.
        manifest: its manifest.
        device: ``cpu``, ``cuda:N``, or ``auto``: the first GPU where the framework has one, else the CPU.
        threads: CPU threads that one inference may use.

    Raises:
        EngineError: unknown kind or setting, missing package, no such device, or an artefact that cannot be loaded.
    """
    engine, path = _find(kind, directory, manifest)
    settings = manifest.artifacts[ENGINES[kind][0]].settings
    wrong = [f"{name}={value!r}" for name, value in settings.items() if value not in engine.choices.get(name, ())]
    if wrong:
        raise EngineError(f"model {manifest.name!r} has settings that the engine {kind} does not: {', '.join(wrong)}")
    try:
        return engine.load(
            path, signature=manifest.model_signature(), device=device, threads=threads, settings=settings
        )
    except EngineError:
        raise
    except NoSuchDevice as error:
        raise EngineError(str(error)) from error
    except Exception as error:
        # Frameworks fail in their own many ways on a broken file; the user needs the file and the first line.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise EngineError(f"{path} cannot be loaded: {reason}") from error


def candidates(kind: str, directory: Path, manifest: Manifest) -> Sequence[Settings]:
    """The settings that an expert of ``kind`` would try on a model's artefact; the defaults, ``{}``, come first.

    Raises:
        EngineError: as ``open_engine``.
    """
    engine, path = _find(kind, directory, manifest)
    return engine.candidates(path)


def _find(kind: str, directory: Path, manifest: Manifest) -> tuple[EngineClass, Path]:
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
        return getattr(importlib.import_module(module), name), path
    except ModuleNotFoundError as error:
        raise EngineError(
            f"the engine {kind} needs the package {error.name!r}; "
            f"install it with: pip install 'serving-gateway[{extra}]'"
        ) from error
