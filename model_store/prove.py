"""Step: find an engine's best settings for an artefact, and let it answer the parity gate's inputs with them."""

from __future__ import annotations

import sys

import msgspec

from model_store.calibration import calibrate
from model_store.engines import CPU, ENGINES, open_engine
from model_store.exporters.workdir import load_tensors, save_tensors, step_workdir
from model_store.manifest import load_manifest
from model_store.measure import accuracy, load_evaluation

CALIBRATE, CHECK = "calibrate", "check"
SECONDS = 3.0  # of measuring an artefact


class Proof(msgspec.Struct, frozen=True):
    """What was measured on one engine.

    Attributes:
        version: of the framework.
        settings: those that were used.
        latency_ms: median by batch size; empty when it was not measured.
        accuracy: on the evaluation set; None where there is none.
    """

    version: str
    settings: dict[str, bool | int | str]
    latency_ms: dict[str, float]
    accuracy: float | None


def main() -> None:
    """Arguments after the directories: the engine, and ``calibrate`` or ``check`` with the manifest's settings."""
    work = step_workdir()
    kind, mode = sys.argv[3:]
    manifest = load_manifest(work.model)
    sets = load_tensors(work.inputs)
    latency: dict[str, float] = {}
    if mode == CALIBRATE:
        samples = {name: tensors for name, tensors in sets.items() if name.startswith("sample")}
        found = calibrate(kind, work.model, manifest, samples, SECONDS)
        latency = dict(found.latency_ms)
        target = ENGINES[kind][0]
        artifact = msgspec.structs.replace(manifest.artifacts[target], settings=dict(found.settings))
        manifest = msgspec.structs.replace(manifest, artifacts=manifest.artifacts | {target: artifact})
    engine = open_engine(kind, work.model, manifest, device=CPU)
    save_tensors(work.outputs(kind), {name: engine.run(tensors) for name, tensors in sets.items()})
    evaluation, scores = load_evaluation(work.model), manifest.scores_output
    proof = Proof(
        version=str(engine.version),
        settings=manifest.artifacts[ENGINES[kind][0]].settings,
        latency_ms=latency,
        accuracy=accuracy(engine, evaluation, scores) if evaluation is not None and scores is not None else None,
    )
    work.proof(kind).write_bytes(msgspec.json.encode(proof))


if __name__ == "__main__":
    main()
