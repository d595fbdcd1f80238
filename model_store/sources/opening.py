"""From whatever a definition or a file gives to a ``Source``: by what it is, without importing frameworks to look."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from model_store.archives import check_zip
from model_store.errors import BuildFailed, UnsafeArchive
from model_store.sources.base import Source, Tensors, first_line

KINDS = ".py:NAME, .pt2, .pt, .keras, .h5, .onnx, .joblib, .pkl, or the folder of a SavedModel"
PICKLES = (".joblib", ".pkl", ".pickle")


def open_native(path: Path, entry: str = "", weights: Path | None = None, *, trust: bool = False) -> Any:
    """What ``path`` holds, in its framework's own type; a path for ONNX files and SavedModels.

    Args:
        path: a file of one of ``KINDS``, or a folder.
        entry: name in a Python file: a function, a class or the model itself.
        weights: state dict for a PyTorch module.
        trust: whether formats that can run code when they are loaded may be.

    Raises:
        BuildFailed: it cannot be opened; names the file and what is wrong.
    """
    if not path.exists():
        raise BuildFailed(f"{path}: no such file or folder")
    native = _open(path, entry, trust=trust)
    return _with_weights(native, weights, trust=trust) if weights is not None else native


def make_source(
    native: Any, samples: Sequence[Tensors], inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> Source:
    """The source of whatever framework ``native`` is of; ``inputs`` and ``outputs`` name PyTorch's and Keras' tensors.

    Raises:
        BuildFailed: it is of no known framework, or the samples do not fit.
    """
    if isinstance(native, Path):
        if native.is_dir():
            from model_store.sources.savedmodel import SavedModelSource

            return SavedModelSource(_version_folder(native), samples)
        from model_store.sources.onnx import OnnxSource

        return OnnxSource(native, samples)
    frameworks = {kind.__module__.partition(".")[0] for kind in type(native).__mro__}
    if "keras" in frameworks:  # first: its models are modules of their backend too
        from model_store.sources.keras import KerasSource

        return KerasSource(native, samples, outputs)
    if "torch" in frameworks:
        from model_store.sources.pytorch import PytorchSource

        return PytorchSource(native, samples, inputs, outputs)
    if "sklearn" in frameworks:
        from model_store.sources.sklearn import SklearnSource

        return SklearnSource(native, samples)
    raise BuildFailed(
        f"a {type(native).__module__}.{type(native).__name__} is no model of PyTorch, Keras or scikit-learn, nor the "
        f"path of an ONNX file or SavedModel"
    )


def local_files(path: Path) -> list[Path]:
    """The Python files beside or below ``path`` that are imported now: what the model was made of."""
    folder = path.resolve().parent
    origins = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    # Packages make up modules without a file; a relative name would be looked for where the command was typed.
    found = {Path(origin).resolve() for origin in origins if origin and Path(origin).is_absolute()}
    local = (file for file in found if file.is_relative_to(folder) and "site-packages" not in file.parts)
    return sorted(file for file in local if file.is_file())


def _open(path: Path, entry: str, *, trust: bool) -> Any:
    if path.is_dir():
        _version_folder(path)
        return path
    suffix = path.suffix.lower()
    if suffix == ".py":
        return _from_python(path, entry)
    if suffix == ".onnx":
        return path
    if suffix in (".keras", ".h5"):
        from model_store.sources.keras import load_keras

        if suffix == ".keras":
            check_zip(path)
        return load_keras(path, trust=trust)
    if suffix in PICKLES:
        return _from_pickle(path, trust=trust)
    if suffix in (".pt2", ".pt", ".pth", ".ts"):
        return _from_torch(path, trust=trust)
    raise BuildFailed(f"{path}: unknown kind of model; one of {KINDS} is expected")


def _from_python(path: Path, entry: str) -> Any:
    module = import_file(path)
    if not hasattr(module, entry):
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise BuildFailed(f"{path} has no {entry!r}; it defines {', '.join(own) or 'nothing'}")
    found = getattr(module, entry)
    if not inspect.isclass(found) and not inspect.isroutine(found):
        return found  # the model itself, rather than what makes one
    try:
        with _arguments(path):
            made = found()
    except BuildFailed:
        raise
    except Exception as error:
        raise BuildFailed(f"{path}: {entry}() failed: {type(error).__name__}: {first_line(error)}") from error
    if made is None:
        raise BuildFailed(f"{path}: {entry}() returns nothing; it must return the model")
    return made


@contextmanager
def _arguments(path: Path) -> Iterator[None]:
    """Without arguments, so that a user's file that reads the command line does not read the step's."""
    own, sys.argv = sys.argv, [str(path)]
    try:
        yield
    except SystemExit as error:
        hint = ": an import gives it no command-line arguments" if error.code == 2 else ""
        raise BuildFailed(f"{path} ends the program with sys.exit({error.code!r}){hint}") from error
    finally:
        sys.argv = own


def import_file(path: Path) -> ModuleType:
    """The user's Python file as a module of its own name, with its folder on the path so that it may import others.

    Raises:
        BuildFailed: it fails to import.
    """
    if _shadows(path.stem):
        raise BuildFailed(f"{path} is called like the package {path.stem!r}, which it would hide: rename the file")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise BuildFailed(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        with _arguments(path):
            spec.loader.exec_module(module)
    except BuildFailed:
        raise
    except Exception as error:
        hint = "; import it by its own name, without a dot" if "attempted relative import" in str(error) else ""
        raise BuildFailed(f"{path} cannot be imported: {type(error).__name__}: {first_line(error)}{hint}") from error
    return module


def _shadows(name: str) -> bool:
    try:
        found = importlib.util.find_spec(name)
    except (ValueError, ImportError):  # no name that could be imported
        return False
    return name in sys.stdlib_module_names or (found is not None and "site-packages" in Path(found.origin or "").parts)


def _from_pickle(path: Path, *, trust: bool) -> Any:
    if not trust:
        raise BuildFailed(
            f"{path} is a pickle, and loading one runs whatever it says: give --trust if you trust its origin"
        )
    import joblib

    sys.path.append(str(path.resolve().parent))  # a pickle names the modules of its classes
    try:
        return joblib.load(path)
    except Exception as error:
        raise BuildFailed(f"{path} cannot be loaded: {type(error).__name__}: {first_line(error)}") from error


def _from_torch(path: Path, *, trust: bool) -> Any:
    import torch

    names = check_zip(path) if zipfile.is_zipfile(path) else []
    try:
        if path.suffix.lower() == ".pt2":
            return torch.export.load(path)
        if any(name.endswith("/constants.pkl") for name in names):
            return torch.jit.load(str(path), map_location="cpu")
        if not trust:
            raise BuildFailed(
                f"{path} is a pickled module, and loading one runs whatever it says: give --trust if you trust it, "
                f"or export it as .pt2"
            )
        sys.path.append(str(path.resolve().parent))  # a pickle names the modules of its classes
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    except BuildFailed:
        raise
    except Exception as error:
        raise BuildFailed(f"{path} cannot be loaded: {type(error).__name__}: {first_line(error)}") from error
    if isinstance(loaded, dict):
        raise BuildFailed(f"{path} holds weights alone: import the class with --weights {path.name}")
    return loaded


def _with_weights(native: Any, weights: Path, *, trust: bool) -> Any:
    if not hasattr(native, "load_state_dict"):
        raise BuildFailed(f"--weights fits a PyTorch module, and this is a {type(native).__name__}")
    import torch

    if not weights.exists():
        raise BuildFailed(f"{weights}: no such file")
    try:
        if weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(weights)
        else:
            if zipfile.is_zipfile(weights):
                check_zip(weights)
            state = torch.load(weights, map_location="cpu", weights_only=not trust)
    except UnsafeArchive:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        if "Weights only load failed" in reason:
            reason = "it is no file of tensors alone; give --trust if you trust its origin"
        raise BuildFailed(f"{weights} holds no weights that can be read: {reason}") from error
    state = state.state_dict() if isinstance(state, torch.nn.Module) else state
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BuildFailed(f"{weights} holds no state dict, keys with tensors, but a {type(state).__name__}")
    state = _without_wrapper(state, native.state_dict())
    _check_keys(native.state_dict(), state, weights)
    native.load_state_dict(state)
    return native


def _without_wrapper(state: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Keys without what the whole model was wrapped in when it was trained, such as ``module.`` of DataParallel."""
    bare = {key.partition(".")[2]: value for key, value in state.items()}
    wrappers = {key.partition(".")[0] for key in state}
    return bare if len(wrappers) == 1 and set(bare) == set(wanted) != set(state) else state


def _check_keys(wanted: dict[str, Any], given: dict[str, Any], weights: Path) -> None:
    problems = {
        "missing": sorted(set(wanted) - set(given)),
        "unknown": sorted(set(given) - set(wanted)),
        "of another shape": [
            f"{key} {list(given[key].shape)} instead of {list(wanted[key].shape)}"
            for key in sorted(set(wanted) & set(given))
            if given[key].shape != wanted[key].shape
        ],
    }
    told = "; ".join(f"{what}: {_some(keys)}" for what, keys in problems.items() if keys)
    if told:
        raise BuildFailed(f"{weights} does not fit the model: {told}")


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more


def _version_folder(path: Path) -> Path:
    """The SavedModel in ``path``: the folder itself, or the newest version in a TensorFlow Serving base path."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = [
        folder for folder in path.iterdir() if folder.name.isdecimal() and (folder / "saved_model.pb").is_file()
    ]
    if not versions:
        raise BuildFailed(f"{path} is a folder without saved_model.pb: no SavedModel")
    return max(versions, key=lambda folder: int(folder.name))
