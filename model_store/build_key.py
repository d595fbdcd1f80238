"""One hash of everything that goes into a build: the same key means that a build would give the same again."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from model_store.definitions import DEFINITIONS
from model_store.definitions.base import ModelDefinition
from model_store.errors import BuildFailed

# Distributions that shape the artefacts or the proof.
TOOLS = (
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnx2tf",
    "tensorflow",
    "torch-model-archiver",
    "numpy",
    "pillow",
)

# Our own sources that do; relative to this package.
SOURCES = ("exporters", "engines", "oip_handler", "definitions/base.py", "manifest.py", "parity.py", "preprocess.py")


def tool_versions(definition: ModelDefinition) -> dict[str, str]:
    """Version of Python and of every distribution that the build of ``definition`` uses.

    Raises:
        BuildFailed: some are not installed; names them and the command that installs them.
    """
    versions = {"python": platform.python_version()}
    missing = []
    for name in (*TOOLS, *definition.packages):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise BuildFailed(
            f"building {definition.name} needs packages that are not installed: {', '.join(missing)}; "
            f"install them with: pip install 'serving-gateway[convert,torchserve,tensorflow,onnxruntime]'"
        )
    return versions


def build_key(definition: ModelDefinition, tools: Mapping[str, str]) -> str:
    """SHA-256 over the sources and ``tools``, in hexadecimal."""
    package = Path(__file__).parent
    paths = [_definition_source(definition.name)]
    for source in SOURCES:
        path = package / source
        paths += sorted(path.glob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    digest.update(repr(sorted(tools.items())).encode())
    return digest.hexdigest()


def _definition_source(name: str) -> Path:
    spec = importlib.util.find_spec(DEFINITIONS[name])
    if spec is None or spec.origin is None:
        raise BuildFailed(f"the source of the definition {name!r} cannot be found")
    return Path(spec.origin)
