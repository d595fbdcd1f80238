"""The build with its heavy steps played by hand: y = 2x in a moment, without a framework and without a process."""

import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console

from model_store import build as build_module
from model_store import verify as verify_module
from model_store.build import build
from model_store.conversion import ENGINE_OF, BuildOptions
from model_store.exporters.prepare import write_evaluation
from model_store.exporters.workdir import Facts, Workdir, load_tensors, save_tensors
from model_store.manifest import load_manifest, sha256, signature_entry
from model_store.measure import load_evaluation
from model_store.parity.inputs import dataset_rows, parity_inputs
from model_store.prove import CALIBRATE, Proof
from model_store.recipe import Imported
from model_store.steps import Progress
from model_store.store import ModelStore
from support.manifests import make_signature

SIGNATURE = make_signature([("x", "FP32", (-1, 3))], [("y", "FP32", (-1, 3))])
MAX_BATCH = 4


def quiet():
    return Progress(Console(quiet=True))


@dataclass
class Play:
    """What the steps do; ``ran`` holds the titles of those that did.

    Attributes:
        forms: frozen forms that the source has.
        missing: those it has not → why.
        origin: files outside the store that it is made of.
        evaluation: labelled inputs, whose classes are the largest of each row.
        broken: title of a step → what it raises; with a number, ``(title, 1)``, only the first time.
        wrong: engine or route → what is added to the engine's answers.
        settings: engine → what its calibration chooses.
        harm: what those settings add to its answers.
    """

    framework: str = "pytorch"
    forms: tuple = ("program.pt2",)
    missing: dict = field(default_factory=dict)
    origin: tuple = ()
    evaluation: object = None
    labels: tuple = ()
    broken: dict = field(default_factory=dict)
    wrong: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    harm: float = 0.0
    ran: list = field(default_factory=list)

    def install(self, monkeypatch):
        """Play the steps of builds and of verifications from now on."""
        for module in (build_module, verify_module):
            monkeypatch.setattr(module, "StepRunner", lambda *arguments: Runner(self, *arguments))
        return self


class Runner:
    """Stands in for ``StepRunner``."""

    def __init__(self, play, model, logs, scratch, progress):
        self._play = play
        self.progress = progress

    def run(self, title, module, arguments, environment=None):
        model, scratch, *rest = arguments
        play = self._play
        play.ran.append(title)
        error = play.broken.get(title) or play.broken.get((title, Counter(play.ran)[title]))
        if error is not None:
            raise error
        _STEPS[module.rpartition(".")[2]](play, Workdir(model, scratch), *rest)


def _prepare(play, work):
    (work.model / "samples").mkdir()
    samples = {f"s{index}": {"x": np.eye(3, dtype=np.float32)[index : index + 1]} for index in range(3)}
    for name, tensors in samples.items():
        np.save(work.model / "samples" / f"{name}.npy", tensors["x"])
    if play.labels:
        (work.model / "labels.txt").write_text("".join(f"{label}\n" for label in play.labels))
    if play.evaluation is not None:
        write_evaluation(work.model, play.evaluation)
    sets = parity_inputs(samples, dataset_rows(play.evaluation), SIGNATURE, MAX_BATCH)
    save_tensors(work.inputs, sets)
    save_tensors(work.reference, {name: {"y": tensors["x"] * 2} for name, tensors in sets.items()})
    work.frozen.mkdir()
    for form in play.forms:
        (work.frozen / form).write_bytes(b"frozen")
    work.write_facts(_facts(play))


def _variant(play, work):
    _prepare(play, work)
    recipe = work.recipe()
    (work.frozen / "model.onnx").write_bytes(b"graph")
    facts = msgspec.structs.replace(
        _facts(play), framework="onnx", variant_of=recipe.name.removesuffix(f"-{recipe.kind}"), missing_forms={}
    )
    work.write_facts(facts)


def _facts(play):
    return Facts(
        framework=play.framework,
        origin="PyTorch Tiny",
        variant_of="",
        description="y = 2x",
        license="Apache-2.0",
        signature=signature_entry(SIGNATURE),
        max_batch_size=MAX_BATCH,
        preprocessing=(),
        postprocessing=(),
        tolerance=0.01,
        missing_forms=play.missing,
        metrics={} if play.evaluation is None else {"accuracy": 1.0},
        files={str(path): sha256(path) for path in play.origin},
    )


def _onnx(play, work, payload=""):
    work.onnx.parent.mkdir(exist_ok=True)
    work.onnx.write_bytes(b"graph")


def _tensorflow(play, work):
    (work.model / "tensorflow" / "1").mkdir(parents=True)
    (work.model / "tensorflow" / "1" / "saved_model.pb").write_bytes(b"saved")


def _torchserve(play, work, payload):
    (work.model / "torchserve").mkdir(exist_ok=True)
    with zipfile.ZipFile(work.model / "torchserve" / f"{work.recipe().name}.mar", "w") as archive:
        archive.writestr("payload", payload)


def _aot(play, work):
    (work.frozen / "aot.pt2").write_bytes(b"compiled")


def _prove(play, work, kind, mode):
    manifest = load_manifest(work.model)
    artifact = next(one for target, one in manifest.artifacts.items() if ENGINE_OF[target] == kind)
    assert all((work.model / path).is_file() for path in artifact.files)
    settings = play.settings.get(kind, {}) if mode == CALIBRATE else artifact.settings
    wrong = play.wrong.get(kind, 0) + play.wrong.get(artifact.route, 0) + (play.harm if settings else 0)
    inputs = load_tensors(work.inputs)
    save_tensors(work.outputs(kind), {name: {"y": tensors["x"] * 2 + wrong} for name, tensors in inputs.items()})
    accuracy = None if load_evaluation(work.model) is None else 0.75
    proof = Proof("1.0", settings, {"1": 0.5} if mode == CALIBRATE else {}, accuracy)
    work.proof(kind).write_bytes(msgspec.json.encode(proof))


_STEPS = {
    "prepare": _prepare,
    "variant": _variant,
    "aot": _aot,
    "torch_onnx": _onnx,
    "onnx_copy": _onnx,
    "tensorflow": _tensorflow,
    "torchserve": _torchserve,
    "prove": _prove,
}


def files_of(directory):
    """Every file under ``directory``, by relative path."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def archived(model):
    """The members of the model's TorchServe archive: name → text."""
    with zipfile.ZipFile(model.artifact("torchserve")) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


class Workshop:
    """A store, one recipe and the play of its steps."""

    def __init__(self, folder: Path, play: Play) -> None:
        self.store = ModelStore(folder / "store")
        self.play = play
        self.file = folder / "tiny.pt2"
        self.file.write_bytes(b"weights")
        self.recipe = Imported("tiny", "1", str(self.file))

    def build(self, force=False, **options):
        return build(self.recipe, self.store, quiet(), options=BuildOptions(**options), force=force)

    def manifest(self):
        return self.store.get("tiny").manifest
