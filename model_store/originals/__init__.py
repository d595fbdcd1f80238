"""The original of a built model, in its own framework: not what was made of it for a server.

The store keeps no originals: those of scikit-learn are pickles, and what is read out of a store must not be able to
have code run. The original of a model that ships is made again from its definition, any other is given by the user;
either in a process of its own, into a folder of the caller's. That it is the same one shows in its answers, which the
store does keep (``reference``).
"""

from __future__ import annotations

import importlib
import io
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from rich.console import Console

from gateway.core.signatures import Signature
from model_store.definitions import DEFINITIONS, get_definition
from model_store.engines import Engine
from model_store.errors import EngineError
from model_store.manifest import Manifest
from model_store.steps import Progress, StepRunner
from model_store.store import StoredModel

__all__ = ["FILE_NAME", "FRAMEWORKS", "Given", "Original", "not_kept", "open_original", "remake"]

FILE_NAME = "original.json"

# Framework of the source → what loads the original, and the package that it needs.
FRAMEWORKS: dict[str, tuple[str, str]] = {
    "scikit-learn": ("model_store.originals.sklearn:SklearnOriginal", "scikit-learn"),
    "keras": ("model_store.originals.keras:KerasOriginal", "keras"),
}


class Original(msgspec.Struct, frozen=True):
    """What ``remake`` leaves beside the original.

    Attributes:
        framework: a key of ``FRAMEWORKS``.
        calls: what is called for an answer, for people, such as ``predict_proba of RandomForestClassifier``.
        label_from_scores: whether the label is that of the best score, so that one call gives both.
    """

    framework: str
    calls: str
    label_from_scores: bool = False


class Given(NamedTuple):
    """An original that the user has: a file, the name of the model in a Python file, and whether to load a pickle."""

    path: Path
    entry: str = ""
    trust: bool = False


class _OriginalClass(Protocol):
    def __call__(self, folder: Path, original: Original, signature: Signature, threads: int) -> Engine: ...


def not_kept(manifest: Manifest) -> str:
    """Why the original of a model cannot be made again; empty when it can."""
    if manifest.origin.variant_of:
        return f"its original is that of {manifest.origin.variant_of!r}, in full precision"
    if manifest.name not in DEFINITIONS:
        return "the store keeps no originals; give it with --original"
    shipped = get_definition(manifest.name).version
    return "" if manifest.version == shipped else f"the one that ships is version {shipped}, not {manifest.version}"


def remake(stored: StoredModel, folder: Path, given: Given | None = None) -> Original:
    """Put the original into the empty ``folder``: the ``given`` one, or that of a model that ships, made again.

    Raises:
        BuildFailed: it could not be made; says why, and where the log is.
    """
    logs = Path(tempfile.mkdtemp(prefix="model-store-logs-"))
    with tempfile.TemporaryDirectory(prefix="model-store-original-") as scratch:
        runner = StepRunner(stored.manifest.name, logs, Path(scratch), Progress(Console(file=io.StringIO())))
        runner.run("Original", "model_store.originals.remake", (stored.directory, folder, *_arguments(given)))
    shutil.rmtree(logs)  # kept when the step failed: its message says where it is
    return _read(folder)


def open_original(folder: Path, signature: Signature, threads: int) -> Engine:
    """Load what ``remake`` left in ``folder``, which only it may have written: a pickle runs whatever it says.

    Raises:
        EngineError: a package is missing.
    """
    original = _read(folder)
    location, package = FRAMEWORKS[original.framework]
    module, _, name = location.partition(":")
    try:
        load: _OriginalClass = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"the original needs the package {error.name or package!r}; install it with: "
            f"pip install 'serving-gateway[convert]'"
        ) from error
    return load(folder, original, signature, threads)


def _arguments(given: Given | None) -> tuple[str, ...]:
    return () if given is None else (str(given.path.absolute()), given.entry, "trust" if given.trust else "")


def _read(folder: Path) -> Original:
    return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=Original)
