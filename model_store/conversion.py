"""From a prepared source to artefacts: for each server the first route whose artefact agrees with the source."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from model_store.engines import ENGINES
from model_store.engines.archive import write_settings
from model_store.errors import BuildFailed, ParityFailed
from model_store.exporters.workdir import Tensors, Workdir, load_tensors
from model_store.manifest import Artifact, Attempt, Manifest, checksums, load_manifest, save_manifest
from model_store.parity.compare import compare
from model_store.parity.difference import SOURCE, Difference
from model_store.parity.verdict import check
from model_store.parity.worst import forget_worst, keep_worst
from model_store.prove import CALIBRATE, CHECK, Proof
from model_store.recipe import Imported
from model_store.routes import ONNX, ROUTES, TARGETS, TENSORFLOW, TORCHSERVE, Route
from model_store.steps import StepRunner

TOLERATE = "if that is near enough for you, say so with --tolerance"
NO_ONNX = "it starts from the ONNX file, which could not be made"
ENGINE_OF = {target: kind for kind, (target, *_) in ENGINES.items()}


@dataclass(slots=True, frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        only: the servers to build for.
        quick: leave out what makes an artefact faster and not better: compilation ahead of time, and calibration.
    """

    only: tuple[str, ...] = TARGETS
    quick: bool = False


@dataclass(slots=True)
class Conversion:
    """What came of it, by target.

    Attributes:
        options: what was asked for.
        artifacts: proven equal to the source.
        failed: targets that no route reached, with what was tried.
        differences: of every pair of participants.
        engines: engine → its framework's version.
    """

    options: BuildOptions
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    failed: dict[str, tuple[Attempt, ...]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    engines: dict[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> list[str]:
        """The engines that have an artefact."""
        return [ENGINE_OF[target] for target in self.artifacts]

    def accuracy(self, source: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Accuracy of the source and of every engine that has one."""
        found = {SOURCE: dict(source)} if source else {}
        return found | {
            ENGINE_OF[target]: {"accuracy": artifact.accuracy}
            for target, artifact in self.artifacts.items()
            if artifact.accuracy is not None
        }


def convert(work: Workdir, steps: StepRunner, options: BuildOptions) -> Conversion:
    """Make and prove the artefacts of ``options.only``.

    Raises:
        BuildFailed: none could be made; says what was tried.
    """
    conversion = Conversion(options)
    only = options.only
    routes = ROUTES[work.facts().framework]
    for target in TARGETS:
        if target in only or (target == ONNX and _starts_from_onnx(routes, only)):
            _reach(target, routes[target], work, steps, conversion)
    for target in [target for target in conversion.artifacts if target not in only]:
        del conversion.artifacts[target]  # it was made for others to start from
        del conversion.engines[ENGINE_OF[target]]
        shutil.rmtree(work.model / target)
    if not conversion.artifacts:
        raise BuildFailed(_nothing(work.recipe().name, conversion.failed))
    conversion.failed = {target: attempts for target, attempts in conversion.failed.items() if target in only}
    conversion.differences = _compare(work, conversion.kinds)
    return conversion


def compare_engines(work: Workdir, manifest: Manifest, kinds: Collection[str]) -> list[Difference]:
    """All pairs of the source and the engines ``kinds``, on all inputs."""
    answers = engine_answers(work, kinds)
    return compare(answers, manifest.model_signature(), manifest.tolerance, manifest.scores_output)


def engine_answers(work: Workdir, kinds: Collection[str]) -> dict[str, dict[str, Tensors]]:
    """What the source and the engines ``kinds`` answered: participant → set of inputs → outputs by name."""
    asked = {path.stem for path in work.inputs.glob("*.npz")}
    reference = {name: outputs for name, outputs in load_tensors(work.reference).items() if name in asked}
    return {SOURCE: reference} | {kind: load_tensors(work.outputs(kind)) for kind in kinds}


def artifact_path(work: Workdir, target: str) -> Path:
    """Where the artefact of ``target`` lies."""
    names = {ONNX: "onnx/model.onnx", TENSORFLOW: "tensorflow", TORCHSERVE: f"torchserve/{work.recipe().name}.mar"}
    return work.model / names[target]


def _reach(target: str, routes: tuple[Route, ...], work: Workdir, steps: StepRunner, conversion: Conversion) -> None:
    name = work.recipe().name
    attempts = []
    for route in routes:
        missing = _missing(route, work, conversion)
        if missing:
            attempts.append(Attempt(route.name, missing))
            continue
        try:
            conversion.artifacts[target] = _follow(route, target, work, steps, conversion)
            return
        except BuildFailed as error:
            shutil.rmtree(work.model / target, ignore_errors=True)
            reason = str(error).removeprefix(f"{name}: ")
            advice = _advice(error, route, work)
            attempts.append(Attempt(route.name, f"{reason}; {advice}" if advice else reason))
            steps.progress.say(f"{name}: {target} by {route.name}: {attempts[-1].reason}")
    conversion.failed[target] = tuple(attempts)


def _advice(error: BuildFailed, route: Route, work: Workdir) -> str:
    if not isinstance(error, ParityFailed):
        return route.advice
    return TOLERATE if isinstance(work.recipe(), Imported) else ""  # only an import takes a tolerance


def _missing(route: Route, work: Workdir, conversion: Conversion) -> str:
    """Why the route cannot even begin; empty when it can."""
    if not route.form:
        return "" if ONNX in conversion.artifacts else NO_ONNX
    if (work.frozen / route.form).exists():
        return ""
    return work.facts().missing_forms.get(route.form, f"the source has no {route.form}")


def _follow(route: Route, target: str, work: Workdir, steps: StepRunner, conversion: Conversion) -> Artifact:
    for step in route.steps:
        if step.optional and conversion.options.quick:
            continue
        try:
            steps.run(step.title, step.module, (work.model, work.scratch, *step.arguments), step.environment)
        except BuildFailed as error:
            if not step.optional:
                raise
            steps.progress.say(f"{error}; going on without it")
    return _prove(target, _describe(target, route, work), work, steps, conversion)


def _prove(target: str, artifact: Artifact, work: Workdir, steps: StepRunner, conversion: Conversion) -> Artifact:
    """The artefact with its best settings; if those break the parity, with the engine's own."""
    kind = ENGINE_OF[target]
    for mode in (CHECK,) if conversion.options.quick else (CALIBRATE, CHECK):
        _save_draft(work, target, artifact)
        steps.run(f"Proof {kind}", "model_store.prove", (work.model, work.scratch, kind, mode))
        proof = msgspec.json.decode(work.proof(kind).read_bytes(), type=Proof)
        differences = _compare(work, [kind])
        try:
            check(work.recipe().name, differences)
            break
        except ParityFailed:
            if mode == CHECK or not proof.settings:
                keep_worst_rows(work, [kind], differences)
                raise
            artifact = msgspec.structs.replace(artifact, settings={})
    forget_worst(work.model, kind)  # what an earlier route got wrong
    if target == TORCHSERVE:
        write_settings(artifact_path(work, target), proof.settings)  # its handler cannot read a manifest
    conversion.engines[kind] = proof.version
    return msgspec.structs.replace(
        _describe(target, None, work, artifact.route),
        settings=proof.settings,
        latency_ms=proof.latency_ms,
        accuracy=proof.accuracy,
    )


def keep_worst_rows(work: Workdir, kinds: Collection[str], differences: Sequence[Difference]) -> None:
    """Leave in the model, for whoever looks for the cause, the inputs on which each engine is farthest off."""
    batched = work.facts().model_signature().batched
    keep_worst(work.model, differences, load_tensors(work.inputs), engine_answers(work, kinds), batched=batched)


def _compare(work: Workdir, kinds: Collection[str]) -> list[Difference]:
    return compare_engines(work, load_manifest(work.model), kinds)


def _save_draft(work: Workdir, target: str, artifact: Artifact) -> None:
    draft = load_manifest(work.model)
    save_manifest(work.model, msgspec.structs.replace(draft, artifacts=draft.artifacts | {target: artifact}))


def _describe(target: str, route: Route | None, work: Workdir, name: str = "") -> Artifact:
    path = artifact_path(work, target)
    files = checksums(work.model, path)
    size = sum((work.model / relative).stat().st_size for relative in files)
    return Artifact(path.relative_to(work.model).as_posix(), size, files, route.name if route else name)


def _starts_from_onnx(routes: Mapping[str, tuple[Route, ...]], only: Collection[str]) -> bool:
    return any(not route.form for target in only for route in routes[target])


def _nothing(name: str, failed: Mapping[str, tuple[Attempt, ...]]) -> str:
    tried = "; ".join(
        f"{target} by {attempt.route}: {attempt.reason}"
        for target, attempts in failed.items()
        for attempt in attempts
        if attempt.reason != NO_ONNX
    )
    return f"{name}: no artefact could be made: {tried}"
