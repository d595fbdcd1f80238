"""Batches of a model's samples, and what the original answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_store.store import StoredModel

Array = npt.NDArray[np.generic]
Tensors = Mapping[str, Array]


def compositions(samples: Mapping[str, Tensors], rows: int) -> list[tuple[str, ...]]:
    """The samples in each batch, by name: batch ``i`` begins with sample ``i`` and goes round those of its shape."""
    names = [*samples]
    found = []
    for first, name in enumerate(names):
        alike = [other for other in names[first:] + names[:first] if _shapes(samples[other]) == _shapes(samples[name])]
        found.append(tuple(alike[row % len(alike)] for row in range(rows)))
    return found


def stack(tensors: Mapping[str, Tensors], names: Sequence[str], *, batched: bool) -> dict[str, Array]:
    """The tensors of the samples ``names`` as one batch of that many rows; that of the one sample when not batched."""
    if not batched:
        return dict(tensors[names[0]])
    return {
        tensor: np.concatenate([tensors[name][tensor] for name in names])[: len(names)] for tensor in tensors[names[0]]
    }


def input_batches(stored: StoredModel, rows: int) -> list[dict[str, Array]]:
    """As many batches of ``rows`` as there are samples."""
    samples = stored.samples()
    batched = stored.manifest.model_signature().batched
    return [stack(samples, names, batched=batched) for names in compositions(samples, rows)]


def original_answers(stored: StoredModel, rows: int) -> list[dict[str, Array]] | None:
    """What the original answers to ``input_batches``; None for a store that was built without its answers."""
    samples = stored.samples()
    files = {name: stored.directory / "reference" / f"sample-{name}.npz" for name in samples}
    if not all(path.is_file() for path in files.values()):
        return None
    answers = {name: _load(path) for name, path in files.items()}
    batched = stored.manifest.model_signature().batched
    return [stack(answers, names, batched=batched) for names in compositions(samples, rows)]


def _load(path: Path) -> dict[str, Array]:
    return dict(np.load(path, allow_pickle=False))


def _shapes(sample: Tensors) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in sample.values()]
