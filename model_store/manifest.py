"""manifest.json: what a built model takes, gives, needs and weighs; the contract between the store and its readers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import CorruptArtifact, CorruptManifest
from model_store.parity.tolerance import Tolerance
from model_store.parity.verdict import PairParity
from model_store.processing.steps import (
    PostStep,
    PreStep,
    asset_files,
    check_postprocessing,
    check_preprocessing,
    scores_output,
)

FORMAT = 2
FILE_NAME = "manifest.json"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the manifest's parts: immutable, and an unknown field is an error."""


class TensorEntry(_Entry, frozen=True):
    """One input or output; ``-1`` is a dimension of any size."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


class SignatureEntry(_Entry, frozen=True):
    """Inputs and outputs in the model's own order."""

    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]


class Artifact(_Entry, frozen=True):
    """What one server loads.

    Attributes:
        path: relative to the model's directory; a folder for TensorFlow (its ``model_base_path``).
        bytes: size of all files together.
        files: SHA-256 of every file, by path relative to the model's directory.
        route: how it came from the source.
        settings: the engine's, as the build's calibration chose them.
        latency_ms: median in the build, one thread, by batch size.
        accuracy: on the model's evaluation set; None where there is none.
    """

    path: str
    bytes: int
    files: dict[str, str]
    route: str = ""
    settings: dict[str, bool | int | str] = {}
    latency_ms: dict[str, float] = {}
    accuracy: float | None = None


class Attempt(_Entry, frozen=True):
    """A route that did not lead to an artefact, and why."""

    route: str
    reason: str


class Origin(_Entry, frozen=True):
    """Where a model comes from.

    Attributes:
        framework: ``pytorch``, ``keras``, ``tensorflow``, ``scikit-learn`` or ``onnx``.
        source: the original in a few words.
        variant_of: the model that this one is another precision of; empty for a model of its own.
        files: files outside the store it was made of → SHA-256; for noticing that one changed, never for loading it.
    """

    framework: str
    source: str
    variant_of: str = ""
    files: dict[str, str] = {}


class Manifest(_Entry, frozen=True):
    """A built model. Paths are relative to the manifest's directory; times are ISO 8601 in UTC."""

    format: int
    name: str
    version: str
    description: str
    license: str
    signature: SignatureEntry
    max_batch_size: int
    preprocessing: tuple[PreStep, ...]
    postprocessing: tuple[PostStep, ...]
    labels: str | None
    origin: Origin
    artifacts: dict[str, Artifact]
    failed: dict[str, tuple[Attempt, ...]]  # targets without an artefact → what was tried
    tolerance: Tolerance
    parity: dict[str, PairParity]
    metrics: dict[str, float]
    samples: tuple[str, ...]
    files: dict[str, str]  # SHA-256 of the files that belong to no artefact
    tools: dict[str, str]
    created: str
    build_key: str  # hash of everything that went into the build

    def model_signature(self) -> Signature:
        """The signature in the gateway's terms."""
        return model_signature(self.signature)

    @property
    def scores_output(self) -> str | None:
        """The output that holds one score a class; None when the model is no classifier."""
        return scores_output(self.postprocessing)

    def checksums(self) -> dict[str, str]:
        """SHA-256 of every file of the model but the manifest, by relative path."""
        return {path: digest for artifact in self.artifacts.values() for path, digest in artifact.files.items()} | (
            self.files
        )


def model_signature(entry: SignatureEntry) -> Signature:
    """The signature in the gateway's terms."""
    inputs, outputs = (
        tuple(TensorSpec(tensor.name, tensor.datatype, tensor.shape) for tensor in tensors)
        for tensors in (entry.inputs, entry.outputs)
    )
    return Signature(inputs, outputs)


def signature_entry(signature: Signature) -> SignatureEntry:
    """``signature`` as the manifest writes it."""
    return SignatureEntry(
        tuple(TensorEntry(spec.name, spec.datatype, spec.shape) for spec in signature.inputs),
        tuple(TensorEntry(spec.name, spec.datatype, spec.shape) for spec in signature.outputs),
    )


def load_manifest(directory: Path) -> Manifest:
    """The manifest of the model in ``directory``.

    Raises:
        CorruptManifest: the file is missing, not JSON, of another format, or a field is wrong; the message names both.
    """
    path = directory / FILE_NAME
    try:
        raw = path.read_bytes()
        # The format is looked at first: another format's fields would only confuse.
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"null"))
        if bytes(found) != str(FORMAT).encode():
            raise CorruptManifest(f"{path}: format {bytes(found).decode()} is not {FORMAT}, which this version reads")
        manifest = msgspec.json.decode(raw, type=Manifest)
        signature = manifest.model_signature()
        check_preprocessing(manifest.preprocessing, signature)
        check_postprocessing(manifest.postprocessing, signature)
    except OSError as error:
        raise CorruptManifest(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise CorruptManifest(f"{path}: {error}") from error
    _check_paths(manifest, path)
    return manifest


def save_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into ``directory``, indented for people."""
    (directory / FILE_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def verify_checksums(directory: Path, manifest: Manifest) -> None:
    """Raise CorruptArtifact, naming the file, unless every file is there and is what the build wrote."""
    for relative, expected in manifest.checksums().items():
        path = directory / relative
        try:
            found = sha256(path)
        except OSError as error:
            raise CorruptArtifact(f"{manifest.name}: {path}: {error.strerror}") from error
        if found != expected:
            raise CorruptArtifact(f"{manifest.name}: {path} is corrupt: its SHA-256 is not the manifest's")


def checksums(directory: Path, root: Path) -> dict[str, str]:
    """SHA-256 of every file at or under ``root``, by path relative to ``directory``."""
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): sha256(path) for path in files}


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_paths(manifest: Manifest, path: Path) -> None:
    fields: Mapping[str, tuple[str, ...]] = {
        "artifacts": tuple(artifact.path for artifact in manifest.artifacts.values()),
        "files": tuple(manifest.checksums()),
        "samples": manifest.samples,
        "preprocessing": asset_files(manifest.preprocessing),
        "labels": (manifest.labels or "labels.txt",),
    }
    for field, values in fields.items():
        for value in values:
            if Path(value).is_absolute() or ".." in Path(value).parts:
                raise CorruptManifest(f"{path}: {field}: {value!r} leaves the model's directory")
