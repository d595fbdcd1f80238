"""Build one model: find out what it is, convert, prove equal, publish. The table of contents of the model store."""

from __future__ import annotations

import errno
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from model_store.build_key import build_key, tool_versions
from model_store.conversion import BuildOptions, Conversion, convert, keep_worst_rows
from model_store.errors import BuildFailed, CorruptArtifact, CorruptManifest, ModelMissing
from model_store.exporters.workdir import Facts, Workdir
from model_store.manifest import (
    FILE_NAME,
    FORMAT,
    Manifest,
    Origin,
    checksums,
    load_manifest,
    save_manifest,
    sha256,
    verify_checksums,
)
from model_store.parity.difference import SOURCE
from model_store.parity.report import write_report
from model_store.parity.tolerance import Tolerance
from model_store.parity.verdict import summarize
from model_store.publish import LOGS, build_lock, publish, staging
from model_store.recipe import Imported, Recipe, Shipped, Variant
from model_store.steps import Progress, StepRunner
from model_store.store import ModelStore, StoredModel
from model_store.variants import TOLERANCES

SCRATCH = ".scratch"  # inside the staging folder, gone before it is published
DEFAULTS = BuildOptions()
FIRST_STEPS = {
    Shipped: "model_store.exporters.prepare",
    Imported: "model_store.exporters.prepare",
    Variant: "model_store.exporters.variant",
}


@dataclass(slots=True, frozen=True)
class BuildResult:
    """What ``build`` did: the model as it stands, whether it was built now, and in how many seconds."""

    model: StoredModel
    built: bool
    seconds: float


def build(
    recipe: Recipe,
    store: ModelStore,
    progress: Progress,
    *,
    options: BuildOptions = DEFAULTS,
    force: bool = False,
) -> BuildResult:
    """Build what ``recipe`` describes unless the store has it just so.

    Args:
        recipe: what to build.
        store: where to publish it.
        progress: told what is running.
        options: how to build.
        force: build even when nothing changed.

    Raises:
        BuildFailed: the source cannot be used, or no artefact was made that agrees with it; the store is as it was.
        DiskFull: a step found no room; likewise.
    """
    started = time.monotonic()
    name = recipe.name
    tools = tool_versions(recipe)
    home = store.root / name
    try:
        key = build_key(recipe, tools, options)
        with build_lock(home, waiting=lambda: progress.say(f"{name}: waiting for another build of it to end")):
            current = None if force else _up_to_date(recipe, store, key)
            if current is None:
                with staging(home) as folder:
                    steps = StepRunner(name, home / LOGS, folder / SCRATCH, progress)
                    _build(recipe, folder, steps, options, tools, key)
                    publish(folder, home, recipe.version)
    except OSError as error:
        _remove_empty(home)
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise BuildFailed(f"{name}: {reason} ({error.filename or store.root}); the store is as it was") from error
    model = current or store.get(name, recipe.version)
    return BuildResult(model, built=current is None, seconds=time.monotonic() - started)


def _up_to_date(recipe: Recipe, store: ModelStore, key: str) -> StoredModel | None:
    """The stored model if it came from the same key and files, and is whole."""
    try:
        model = store.get(recipe.name, recipe.version)
        if model.manifest.build_key != key or not _unchanged(model.manifest.origin.files):
            return None
        verify_checksums(model.directory, model.manifest)
    except (ModelMissing, CorruptManifest, CorruptArtifact):
        return None
    return model


def _unchanged(files: dict[str, str]) -> bool:
    return all(Path(path).is_file() and sha256(Path(path)) == digest for path, digest in files.items())


def _build(
    recipe: Recipe, folder: Path, steps: StepRunner, options: BuildOptions, tools: dict[str, str], key: str
) -> None:
    work = Workdir(folder, folder / SCRATCH)
    work.scratch.mkdir()
    work.write_recipe(recipe)
    steps.run("Source", FIRST_STEPS[type(recipe)], (work.model, work.scratch))
    facts = work.facts()
    # The engines open a model through its manifest, so there is one before the verdict is in.
    save_manifest(folder, _draft(recipe, facts, work, tools, key))
    conversion = convert(work, steps, options)
    _finish(work, conversion)


def _finish(work: Workdir, conversion: Conversion) -> None:
    """The report, and the manifest with everything that was measured."""
    folder, facts = work.model, work.facts()
    draft = load_manifest(folder)
    keep_worst_rows(work, conversion.kinds, conversion.differences)
    write_report(
        folder,
        model=draft.name,
        version=draft.version,
        differences=conversion.differences,
        participants={SOURCE: facts.origin} | conversion.engines,
        accuracy=conversion.accuracy(facts.metrics),
        routes={target: artifact.route for target, artifact in conversion.artifacts.items()},
        failed={
            target: [(attempt.route, attempt.reason) for attempt in attempts]
            for target, attempts in conversion.failed.items()
        },
        latency={target: artifact.latency_ms for target, artifact in conversion.artifacts.items()},
    )
    shutil.rmtree(work.scratch)
    artifacts = conversion.artifacts
    whole = msgspec.structs.replace(
        draft,
        artifacts=artifacts,
        failed=conversion.failed,
        parity=summarize(conversion.differences),
        files={},
    )
    owned = {path for artifact in artifacts.values() for path in artifact.files} | {FILE_NAME}
    loose = {path: digest for path, digest in checksums(folder, folder).items() if path not in owned}
    save_manifest(folder, msgspec.structs.replace(whole, files=loose))


def _draft(recipe: Recipe, facts: Facts, work: Workdir, tools: dict[str, str], key: str) -> Manifest:
    return Manifest(
        format=FORMAT,
        name=recipe.name,
        version=recipe.version,
        description=facts.description,
        license=facts.license,
        signature=facts.signature,
        max_batch_size=facts.max_batch_size,
        preprocessing=facts.preprocessing,
        postprocessing=facts.postprocessing,
        labels="labels.txt" if (work.model / "labels.txt").exists() else None,
        origin=Origin(facts.framework, facts.origin, facts.variant_of, facts.files),
        artifacts={},
        failed={},
        tolerance=_tolerance(recipe, facts),
        parity={},
        metrics=facts.metrics,
        samples=tuple(sorted(f"samples/{path.name}" for path in (work.model / "samples").iterdir())),
        files={},
        tools=tools,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        build_key=key,
    )


def _tolerance(recipe: Recipe, facts: Facts) -> Tolerance:
    return TOLERANCES[recipe.kind] if isinstance(recipe, Variant) else Tolerance(absolute=facts.tolerance)


def _remove_empty(home: Path) -> None:
    """A first build that failed leaves no trace of the name but its logs."""
    if home.is_dir() and not any(home.iterdir()):
        home.rmdir()
