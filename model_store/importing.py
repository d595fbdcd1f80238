"""``model-store import``: from what a user types to a recipe, with every wrong argument named before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_store.definitions import DEFINITIONS
from model_store.errors import InvalidImport, InvalidName
from model_store.recipe import DEFAULT_MAX_BATCH, Imported, definition_of, split_name
from model_store.store import ModelStore


@dataclass(slots=True, frozen=True)
class ImportOptions:
    """What goes with the source; see ``recipe.Imported``. None and empty: not given."""

    samples: Sequence[Path] = ()
    weights: Path | None = None
    evaluation: Path | None = None
    labels: Path | None = None
    processing: Path | None = None
    assets: Sequence[Path] = ()
    trust: bool = False
    description: str = ""
    license: str = "not stated"
    max_batch_size: int = DEFAULT_MAX_BATCH
    tolerance: float | None = None


def import_recipe(source: str, name: str, options: ImportOptions, store: ModelStore) -> Imported:
    """The recipe for ``source``, ``file.py:NAME`` or a path, under ``name`` or ``name/version``.

    A name without a version is the newest version of the model that the store has, or 1.

    Raises:
        InvalidName: no name for a model, or that of one that ships.
        InvalidImport: a file is missing, or the Python file comes without a name in it.
        BuildFailed: the processing file is wrong.
    """
    name, version = split_name(name)
    if name in DEFINITIONS:
        raise InvalidName(f"{name!r} is a model that ships; import yours under another name")
    path, entry = _split_source(source)
    files = (path, options.weights, options.evaluation, options.labels, options.processing)
    for file in (*files, *options.samples, *options.assets):
        if file is not None and not file.exists():
            raise InvalidImport(f"{file}: no such file")
    if options.tolerance is not None and not math.isfinite(options.tolerance):
        raise InvalidImport(f"the tolerance must be a finite number, not {options.tolerance}")
    recipe = Imported(
        name=name,
        version=version or (store.versions(name) or ["1"])[-1],
        path=_absolute(path),
        entry=entry,
        weights=_absolute(options.weights),
        trust=options.trust,
        samples=tuple(_absolute(sample) for sample in options.samples),
        evaluation=_absolute(options.evaluation),
        labels=_absolute(options.labels),
        processing=_absolute(options.processing),
        assets=tuple(_absolute(asset) for asset in options.assets),
        description=options.description,
        license=options.license,
        max_batch_size=options.max_batch_size,
        tolerance=options.tolerance,
    )
    definition_of(recipe)  # reads the processing file, and says what is wrong with it
    return recipe


def _split_source(source: str) -> tuple[Path, str]:
    file, colon, entry = source.rpartition(":")
    if colon and entry and file.endswith(".py"):
        return Path(file), entry
    if source.removesuffix(":").endswith(".py"):
        raise InvalidImport(f"{source}: say what in it makes the model, as in {source.removesuffix(':')}:build")
    return Path(source), ""


def _absolute(path: Path | None) -> str:
    return str(path.absolute()) if path is not None else ""
