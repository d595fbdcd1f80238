"""What a build is made from: a model that ships, files of the user's, or a variant of a built model.

A recipe is handed to the build's steps as JSON, so that each can stand on its own in a fresh process. None is ever read
out of a store: a manifest from elsewhere must not be able to have code run.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from model_store.archives import check_zip
from model_store.definitions import get_definition
from model_store.definitions.base import Array, Evaluation, ModelDefinition, Sample
from model_store.errors import BuildFailed, InvalidName
from model_store.processing.steps import PostStep, PreStep

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
VARIANTS = ("fp16", "int8")
DEFAULT_MAX_BATCH = 32


class Shipped(msgspec.Struct, frozen=True, tag="shipped"):
    """A model of ``model_store.definitions``."""

    name: str
    version: str


class Imported(msgspec.Struct, frozen=True, tag="imported"):
    """A user's model. Paths are absolute; an empty one is not given.

    Attributes:
        path: the file or folder.
        entry: name in a Python file.
        weights: state dict for a PyTorch class.
        trust: whether pickles may be loaded.
        samples: ``.npy`` for one input, ``.npz`` with one array an input; with a batch dimension.
        evaluation: ``.npz`` of inputs, and ``classes`` with the right ones; for accuracy.
        labels: text file, one label a line.
        processing: JSON file with ``preprocessing`` and ``postprocessing`` as a manifest has them.
        assets: files that the processing needs, such as ``tokenizer.json``.
    """

    name: str
    version: str
    path: str
    entry: str = ""
    weights: str = ""
    trust: bool = False
    samples: tuple[str, ...] = ()
    evaluation: str = ""
    labels: str = ""
    processing: str = ""
    assets: tuple[str, ...] = ()
    description: str = ""
    license: str = "not stated"
    max_batch_size: int = DEFAULT_MAX_BATCH
    tolerance: float | None = None

    def files(self) -> list[Path]:
        """Every file that is given."""
        given = [self.path, self.weights, *self.samples, self.evaluation, self.labels, self.processing, *self.assets]
        return [file for path in given if path for file in _tree(Path(path))]


class Variant(msgspec.Struct, frozen=True, tag="variant"):
    """A built model in another precision; ``base`` is its directory, ``base_key`` the build it is."""

    name: str
    version: str
    kind: str
    base: str
    base_key: str


Recipe = Shipped | Imported | Variant


class Processing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The user's declaration of what happens before and after the model."""

    preprocessing: tuple[PreStep, ...] = ()
    postprocessing: tuple[PostStep, ...] = ()


def split_name(text: str) -> tuple[str, str]:
    """``name/2`` as name and version; the version is empty when it is not given.

    Raises:
        InvalidName: it would leave the store, or is no name that every server takes.
    """
    name, slash, version = text.partition("/")
    if not _NAME.fullmatch(name):
        raise InvalidName(f"{name!r} is no model name: letters, digits, '.', '_' and '-', and a letter or digit first")
    if slash and not (version.isdecimal() and version.isascii() and int(version) > 0):
        raise InvalidName(f"{text!r}: a version is a number from 1 on, as in {name}/2")
    return name, str(int(version)) if version else ""


def definition_of(recipe: Shipped | Imported) -> ModelDefinition:
    """Everything that the recipe says about its model."""
    return get_definition(recipe.name) if isinstance(recipe, Shipped) else _imported(recipe)


def fingerprint(paths: Sequence[Path]) -> str:
    """SHA-256 over names and contents of files, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _imported(recipe: Imported) -> ModelDefinition:
    processing = _processing(recipe)

    def source() -> object:
        from model_store.sources.opening import open_native

        weights = Path(recipe.weights) if recipe.weights else None
        return open_native(Path(recipe.path), recipe.entry, weights, trust=recipe.trust)

    return ModelDefinition(
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        license=recipe.license,
        inputs=(),
        outputs=(),
        max_batch_size=recipe.max_batch_size,
        preprocessing=processing.preprocessing,
        postprocessing=processing.postprocessing,
        tolerance=recipe.tolerance,
        packages=(),
        labels=(lambda: _labels(Path(recipe.labels))) if recipe.labels else None,
        samples=lambda: [Sample(name, _arrays(path)) for name, path in _named(recipe.samples)],
        evaluation=(lambda: _evaluation(Path(recipe.evaluation))) if recipe.evaluation else None,
        assets=lambda: {Path(path).name: Path(path) for path in recipe.assets},
        source=source,
    )


def _named(paths: Sequence[str]) -> list[tuple[str, Path]]:
    """Sample names: those of the files, numbered where two are called the same."""
    stems = [Path(path).stem for path in paths]
    unique = len(set(stems)) == len(stems)
    return [(stem if unique else f"{stem}-{i}", Path(paths[i])) for i, stem in enumerate(stems)]


def _processing(recipe: Imported) -> Processing:
    if not recipe.processing:
        return Processing()
    path = Path(recipe.processing)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Processing)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BuildFailed(f"{path}: {error}") from error


def _evaluation(path: Path) -> Evaluation:
    arrays = dict(_arrays(path))
    if "classes" not in arrays:
        raise BuildFailed(f"{path} has no array 'classes' with the right class of each row; it has {[*arrays]}")
    return Evaluation(classes=arrays.pop("classes"), inputs=arrays)


def _arrays(path: Path) -> Mapping[str, Array]:
    """The arrays in ``path`` by name; a lone ``.npy`` has the name ``""``."""
    if zipfile.is_zipfile(path):
        check_zip(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = "it is another kind of file, or holds Python objects" if "pickle" in reason else reason
        raise BuildFailed(f"{path} is no .npy or .npz file that can be read: {reason}") from error
    if not arrays:
        raise BuildFailed(f"{path} holds no arrays")
    for name, array in arrays.items():
        what = f"{path}: array {name!r}" if name else f"{path}"
        if not isinstance(array, np.ndarray):
            raise BuildFailed(f"{what} is no .npy array")
        if array.dtype.kind not in "biufSU":
            raise BuildFailed(f"{what} holds {array.dtype}, which no protocol carries")
        if not array.size:
            raise BuildFailed(f"{what} is empty: its shape is {list(array.shape)}")
    return arrays


def _labels(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BuildFailed(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error


def _tree(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
