"""Check a built model again: every file is what the build wrote, and the engines still agree with the source."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_store.conversion import ENGINE_OF, compare_engines
from model_store.exporters.workdir import Workdir, save_tensors
from model_store.gate_inputs import gate_inputs
from model_store.manifest import verify_checksums
from model_store.parity.difference import Difference
from model_store.parity.verdict import PairParity, check, summarize
from model_store.prove import CHECK
from model_store.steps import Progress, StepRunner
from model_store.store import StoredModel


@dataclass(slots=True, frozen=True)
class Verified:
    """What ``verify`` measured: the differences of all pairs of the source and the engines."""

    model: StoredModel
    differences: Sequence[Difference]

    def summary(self) -> dict[str, PairParity]:
        """The worst of each pair."""
        return summarize(self.differences)


def verify(model: StoredModel, progress: Progress) -> Verified:
    """Measure the differences now, against the answers that the source gave when the model was built.

    Raises:
        CorruptArtifact: a file is missing or not what the build wrote.
        ParityFailed: an engine differs from the source beyond the model's tolerance.
        BuildFailed: an engine cannot load or run its artefact.
    """
    manifest = model.manifest
    verify_checksums(model.directory, manifest)
    kinds = [ENGINE_OF[target] for target in manifest.artifacts]
    logs = Path(tempfile.mkdtemp(prefix="model-store-logs-"))  # outside the store, which may be read-only
    with tempfile.TemporaryDirectory(prefix="model-store-verify-") as scratch:
        work = Workdir(model.directory, Path(scratch))
        # Another numpy may draw other numbers from the same seed, and the source answered those of the build.
        made_up = manifest.tolerance.made_up and manifest.tools["numpy"] == np.__version__
        save_tensors(work.inputs, gate_inputs(model, made_up=made_up))
        runner = StepRunner(manifest.name, logs, work.scratch, progress)
        for kind in kinds:
            runner.run(f"Proof {kind}", "model_store.prove", (work.model, work.scratch, kind, CHECK))
        differences = compare_engines(work, manifest, kinds)
    shutil.rmtree(logs)  # kept when a step failed: its message says where they are
    check(manifest.name, differences)
    return Verified(model, differences)
