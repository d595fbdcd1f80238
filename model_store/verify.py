"""Check a built model again: every file is what the build wrote, and the engines still agree."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from model_store.build import run_engines
from model_store.engines import ENGINES
from model_store.exporters.workdir import Workdir, load_tensors, save_tensors
from model_store.manifest import PairParity, verify_checksums
from model_store.parity import check, compare, parity_inputs, summarize
from model_store.steps import Progress, StepRunner
from model_store.store import StoredModel


def verify(model: StoredModel, progress: Progress) -> dict[str, PairParity]:
    """The largest differences of each pair of engines, measured now.

    Raises:
        CorruptArtifact: a file is missing or not what the build wrote.
        ParityFailed: two engines differ beyond the tolerance of the build.
        BuildFailed: an engine cannot load or run its artefact.
    """
    verify_checksums(model.directory, model.manifest)
    tolerance = max(pair.tolerance for pair in model.manifest.parity.values())
    logs = Path(tempfile.mkdtemp(prefix="model-store-logs-"))  # outside the store, which may be read-only
    with tempfile.TemporaryDirectory(prefix="model-store-verify-") as scratch:
        work = Workdir(model.directory, Path(scratch))
        save_tensors(work.inputs, parity_inputs(model.samples(), model.manifest.model_signature()))
        run_engines(work, StepRunner(model.manifest.name, logs, work.scratch, progress))
        differences = compare({kind: load_tensors(work.outputs(kind)) for kind in ENGINES})
    shutil.rmtree(logs)  # kept when a step failed: its message says where they are
    check(model.manifest.name, differences, tolerance)
    return summarize(differences, tolerance)
