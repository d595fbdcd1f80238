"""The parity gate's inputs of a built model, made again from what is in it: the same that its source answered."""

from __future__ import annotations

from model_store.definitions.base import Array
from model_store.measure import load_evaluation
from model_store.parity.inputs import dataset_rows, is_random, parity_inputs
from model_store.store import StoredModel


def gate_inputs(model: StoredModel, *, made_up: bool) -> dict[str, dict[str, Array]]:
    """The inputs by the name of the set; without the random ones unless ``made_up``."""
    manifest = model.manifest
    dataset = dataset_rows(load_evaluation(model.directory))
    sets = parity_inputs(model.samples(), dataset, manifest.model_signature(), manifest.max_batch_size)
    return {name: tensors for name, tensors in sets.items() if made_up or not is_random(name)}
