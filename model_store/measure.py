"""Accuracy of anything that answers: a source or an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from model_store.definitions.base import Array, Evaluation

BATCH = 32


class Runs(Protocol):
    """A source or an engine."""

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]: ...


def accuracy(model: Runs, evaluation: Evaluation, scores: str, batch: int = BATCH) -> float:
    """Share of the rows whose largest score is that of the right class, rounded to four places.

    Args:
        model: what answers.
        evaluation: inputs and right classes.
        scores: the output with one score a class.
        batch: rows a run.
    """
    right = 0
    for start in range(0, len(evaluation.classes), batch):
        rows = slice(start, start + batch)
        answer = model.run({name: array[rows] for name, array in evaluation.inputs.items()})[scores]
        found = answer.reshape(len(answer), -1).argmax(-1)
        right += int((found == evaluation.classes[rows]).sum())
    return round(right / len(evaluation.classes), 4)


def load_evaluation(model: Path) -> Evaluation | None:
    """The labelled inputs of the model in ``model``; None when it has none."""
    folder = model / "evaluation"
    if not folder.is_dir():
        return None
    inputs = dict(np.load(folder / "inputs.npz", allow_pickle=False))
    return Evaluation(inputs, np.load(folder / "classes.npy", allow_pickle=False))
