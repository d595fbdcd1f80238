"""One hash of everything that goes into a build: the same key means that a build would give the same again."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import msgspec

from model_store.definitions import DEFINITIONS, get_definition
from model_store.errors import BuildFailed
from model_store.recipe import Imported, Recipe, Shipped, fingerprint

# Distributions that shape the artefacts or the proof.
TOOLS = (
    "keras", "numpy", "onnx", "onnxruntime", "onnxscript", "pillow", "scikit-learn", "skl2onnx", "tensorflow",
    "tf2onnx", "tokenizers", "torch", "torch-model-archiver",
)  # fmt: skip

# Our own sources that do; relative to this package.
SOURCES = (
    "calibration", "engines", "exporters", "oip_handler", "onnx_to_tensorflow", "parity", "processing", "sources",
    "conversion.py", "definitions/base.py", "definitions/digits.py", "gate_inputs.py", "manifest.py",
    "measure.py", "prove.py", "recipe.py", "routes.py", "variants.py",
)  # fmt: skip


def tool_versions(recipe: Recipe) -> dict[str, str]:
    """Version of Python and of every installed distribution that a build may use.

    Raises:
        BuildFailed: a shipped model needs one that is not installed; says which, and the command that installs them.
    """
    versions = {"python": platform.python_version()}
    needed = get_definition(recipe.name).packages if isinstance(recipe, Shipped) else ()
    missing = []
    for name in dict.fromkeys((*TOOLS, *needed)):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing += [name] if name in needed else []
    if missing:
        raise BuildFailed(
            f"building {recipe.name} needs packages that are not installed: {', '.join(missing)}; "
            f"install them with: pip install 'serving-gateway[convert,torchserve,tensorflow,onnxruntime]'"
        )
    return versions


def build_key(recipe: Recipe, tools: Mapping[str, str], options: object) -> str:
    """SHA-256 over the recipe, the files it names, our sources, ``tools`` and ``options``, in hexadecimal.

    Raises:
        BuildFailed: a file of the recipe is not there.
    """
    package = Path(__file__).parent
    paths = [_definition_source(recipe.name)] if isinstance(recipe, Shipped) else []
    for source in SOURCES:
        path = package / source
        paths += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    parts = [fingerprint(paths), repr(sorted(tools.items())), repr(options), msgspec.json.encode(recipe).decode()]
    if isinstance(recipe, Imported):
        files = recipe.files()
        for path in files:
            if not path.is_file():
                raise BuildFailed(f"{path}: no such file")
        parts.append(fingerprint(files))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _definition_source(name: str) -> Path:
    spec = importlib.util.find_spec(DEFINITIONS[name])
    if spec is None or spec.origin is None:
        raise BuildFailed(f"the source of the definition {name!r} cannot be found")
    return Path(spec.origin)
