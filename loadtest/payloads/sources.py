"""From what the command line says to the workload: which models, with which payloads, how often each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtest.errors import BadSpec, PayloadError
from loadtest.payloads.batch import batched, check_batch
from loadtest.payloads.files import file_payloads
from loadtest.payloads.manifest import manifest_payloads, measured_model
from loadtest.payloads.mix import ModelShare, mixed, parse_mix
from loadtest.payloads.random import RandomSpec, parse_random, random_payloads
from loadtest.payloads.shapes import Shapes, parse_shapes
from loadtest.payloads.workload import MeasuredModel, Payload, Workload
from model_store.errors import ModelMissing, StoreError
from model_store.processing.processor import Processor
from model_store.store import ModelStore, StoredModel

MANIFEST = "manifest"

# Name and version (empty: the default one) of a model that is in no store → what its server says of it.
Describe = Callable[[str, str], MeasuredModel]


@dataclass(slots=True, frozen=True)
class _Subject:
    """One model of the mix. ``version`` is the one to ask for, ``most`` the rows that it takes (0: not known)."""

    model: MeasuredModel
    version: str
    weight: float
    stored: StoredModel | None = None
    processor: Processor | None = None
    most: int = 0


def workload_of(
    models: str,
    store: ModelStore,
    payloads: Sequence[str] = (),
    *,
    batch: int = 1,
    seed: int = 0,
    shapes: Sequence[str] = (),
    describe: Describe | None = None,
) -> Workload:
    """The workload that the arguments ask for.

    Args:
        models: ``NAME[/VERSION][:WEIGHT],…``.
        store: where they are looked up first.
        payloads: ``manifest``, ``random[:COUNT[:LOW-HIGH]]`` or a file or folder; ``MODEL=…`` for one model of several.
            Without any: the manifest's samples; random ones for a model that is in no store.
        batch: rows in a request.
        seed: of the random payloads.
        shapes: ``INPUT:SIZExSIZE`` for random payloads.
        describe: asked for models that are in no store; None: there is nobody to ask.

    Raises:
        BadSpec: an argument cannot be read.
        PayloadError: a model is not known, or has no payloads that fit.
        LoadTestError: as ``describe``.
    """
    sizes = parse_shapes(shapes)
    subjects = [_subject(share, store, describe) for share in parse_mix(models)]
    specs = _specs_by_model(payloads, [subject.model.name for subject in subjects])
    _check_shapes(sizes, subjects, specs)
    parts: list[tuple[float, list[Payload]]] = []
    for number, subject in enumerate(subjects):
        check_batch(subject.model, batch, subject.most)
        random = np.random.default_rng((seed, number))
        made = [
            payload
            for spec in specs[subject.model.name] or [_default(subject)]
            for payload in _payloads(subject, spec, batch, random, sizes)
        ]
        too_long = next((payload for payload in made if subject.most and payload.rows > subject.most), None)
        if too_long is not None:
            check_batch(subject.model, too_long.rows, subject.most)
        parts.append((subject.weight, made))
    return mixed(parts)


def _subject(share: ModelShare, store: ModelStore, describe: Describe | None) -> _Subject:
    try:
        stored = store.get(share.name, share.version)
    except ModelMissing as error:
        if describe is None:
            raise PayloadError(str(error)) from None
        return _Subject(describe(share.name, share.version), share.version, share.weight)
    except StoreError as error:
        raise PayloadError(str(error)) from None
    processor = Processor(stored.directory, stored.manifest)
    most = stored.manifest.max_batch_size
    return _Subject(measured_model(stored), share.version, share.weight, stored, processor, most)


def _specs_by_model(payloads: Sequence[str], names: Sequence[str]) -> Mapping[str, list[str]]:
    specs: dict[str, list[str]] = {name: [] for name in names}
    for text in payloads:
        name, separator, spec = text.partition("=")
        if not text or (name in specs and separator and not spec):
            raise BadSpec(f"payload {text!r}: manifest, random or a file is expected")
        if separator and name in specs:
            specs[name].append(spec)
        elif len(names) == 1 or text == MANIFEST or parse_random(text) is not None:
            for each in specs.values():
                each.append(text)
        else:
            raise BadSpec(f"payload {text!r}: which of the models {', '.join(names)} is it for? MODEL=FILE is expected")
    return specs


def _check_shapes(shapes: Shapes, subjects: Sequence[_Subject], specs: Mapping[str, list[str]]) -> None:
    """A shape that nothing will have is a mistake."""
    inputs = {
        spec.name
        for subject in subjects
        if any(parse_random(text) for text in specs[subject.model.name] or [_default(subject)])
        for spec in subject.model.signature.inputs
    }
    for name in shapes:
        if name not in inputs:
            raise BadSpec(
                f"shape of {name!r}: no model with random payloads has such an input; they have {sorted(inputs)}"
            )


def _default(subject: _Subject) -> str:
    return "random" if subject.stored is None else MANIFEST


def _payloads(subject: _Subject, text: str, rows: int, random: np.random.Generator, shapes: Shapes) -> list[Payload]:
    spec = parse_random(text)
    if isinstance(spec, RandomSpec):
        return random_payloads(subject.model, subject.version, spec, random, rows=rows, shapes=shapes)
    stored = subject.stored
    if text != MANIFEST:
        return batched(file_payloads(Path(text), subject.model, subject.version, subject.processor), rows)
    if stored is None:
        raise PayloadError(f"model {subject.model.name} is in no store, so there are no samples of it")
    return batched(manifest_payloads(stored, subject.model, subject.version), rows)
