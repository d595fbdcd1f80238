"""The sets of inputs that the source and every engine answer.

``sample-<name>``                           each of the user's samples alone
``samples-batch-<n>``, ``dataset-batch-<n>``  n real rows, taken again from the first when there are fewer
``random-batch-<n>``, ``random``              seeded random tensors that look like the samples

n is 1, 2, 7 and the largest batch a server puts together, as far as that goes. Rows can stand in one batch when their
free dimensions are of the same sizes: a batch holds rows of the sizes that most rows have. A smaller batch holds the
first rows of a larger one, so that what a row's neighbours do to it can be told. Batches of more than 64 MiB are left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gateway.core.signatures import Signature
from model_store.errors import BuildFailed
from model_store.parity.random_values import random_like
from model_store.parity.values import Array, Tensors

if TYPE_CHECKING:
    from model_store.definitions.base import Evaluation

BATCHES = (1, 2, 7)
LARGEST_SET = 64 * 2**20  # bytes
DATASET_ROWS = 256

Sizes = tuple[tuple[int, ...], ...]  # of a row, without the batch, by input


def parity_inputs(
    samples: Mapping[str, Tensors], dataset: Mapping[str, Tensors], signature: Signature, max_batch_size: int
) -> dict[str, dict[str, Array]]:
    """The gate's inputs by the name of the set; the same for the same arguments, in whatever order samples come.

    Args:
        samples: the user's inputs by name, with a batch of any size.
        dataset: more real inputs, likewise; may be empty.
        signature: the model's.
        max_batch_size: the largest batch a server puts together; 0 is 1.

    Raises:
        BuildFailed: there are no samples, or one whose inputs have different numbers of rows.
    """
    if not samples:
        raise BuildFailed("the parity gate needs one sample at least")
    names = [spec.name for spec in signature.inputs]
    ordered = {name: {key: samples[name][key] for key in names} for name in sorted(samples)}
    sets = {f"sample-{name}": inputs for name, inputs in ordered.items()}
    if not signature.batched:
        return sets | {"random": _random([*ordered.values()], next(iter(ordered.values())), signature)}
    for name, inputs in (ordered | dict(dataset)).items():
        _check_rows(name, inputs)
    sizes = sorted({size for size in (*BATCHES, max_batch_size) if size <= max(max_batch_size, 1)} - {0})
    alone = any(_rows(inputs) == 1 for inputs in ordered.values())
    rows = _largest_group(ordered, names)
    for size in sizes:
        if not (alone and size == 1) and _fits(rows, size):
            sets[f"samples-batch-{size}"] = _batch(rows, size)
    if dataset:
        more = _largest_group(dataset, names)
        sets |= {f"dataset-batch-{size}": _batch(more, size) for size in sizes if _fits(more, size)}
    for size in sizes:
        if _fits(rows, size):
            sets[f"random-batch-{size}"] = _random([*ordered.values()], _batch(rows, size), signature)
    return sets


def dataset_rows(evaluation: Evaluation | None) -> dict[str, dict[str, Array]]:
    """Single rows of an evaluation set, spread over all of it: such sets are often in the order of their classes."""
    if evaluation is None or not len(evaluation.classes):
        return {}
    count = len(evaluation.classes)
    chosen = np.linspace(0, count - 1, min(count, DATASET_ROWS)).astype(int)
    return {
        f"row-{row:06}": {name: array[row : row + 1] for name, array in evaluation.inputs.items()} for row in chosen
    }


def is_random(name: str) -> bool:
    """Whether the set ``name`` is made up: what a model makes of it says nothing about its use."""
    return name.startswith("random")


def _check_rows(name: str, inputs: Tensors) -> None:
    rows = {key: len(array) for key, array in inputs.items()}
    if len(set(rows.values())) > 1 or 0 in rows.values():
        raise BuildFailed(f"the inputs of {name!r} need the same number of rows, one at least; they have {rows}")


def _largest_group(samples: Mapping[str, Tensors], names: list[str]) -> dict[str, Array]:
    """Rows of the same sizes, as many as there are; the first such group among equals."""
    groups: dict[Sizes, list[Tensors]] = {}
    for inputs in samples.values():
        groups.setdefault(tuple(inputs[name].shape[1:] for name in names), []).append(inputs)
    largest = max(groups.values(), key=lambda group: sum(_rows(inputs) for inputs in group))
    return {name: np.concatenate([inputs[name] for inputs in largest]) for name in names}


def _rows(inputs: Tensors) -> int:
    return len(next(iter(inputs.values())))


def _fits(rows: Tensors, size: int) -> bool:
    """Whether a batch of ``size`` stays within bounds; a batch of 1 always does."""
    row = sum(array.nbytes for array in rows.values()) / _rows(rows)
    return size == 1 or row * size <= LARGEST_SET


def _batch(rows: Tensors, size: int) -> dict[str, Array]:
    return {name: array[np.arange(size) % len(array)] for name, array in rows.items()}


def _random(samples: list[dict[str, Array]], like: Tensors, signature: Signature) -> dict[str, Array]:
    return {
        spec.name: random_like([sample[spec.name] for sample in samples], like[spec.name], spec.datatype, index)
        for index, spec in enumerate(signature.inputs)
    }
