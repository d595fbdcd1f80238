"""From a model's scores to the classes that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_store.processing.steps import PostStep, Softmax, TopK

FloatArray = npt.NDArray[np.float64]


@dataclass(slots=True, frozen=True)
class Class:
    """One class of a classifier's answer; ``label`` is the index once more where the model has no label for it."""

    index: int
    label: str
    probability: float


def top_classes(scores: npt.NDArray[np.generic], steps: Sequence[PostStep], labels: Sequence[str]) -> list[list[Class]]:
    """The most probable classes of each row, best first; empty unless ``steps`` ask for them.

    Args:
        scores: one value a class in the last dimension.
        steps: the manifest's ``postprocessing``, as ``check_postprocessing`` wants it.
        labels: of the classes, in order.
    """
    values = scores.reshape(-1, scores.shape[-1]).astype(np.float64)
    for step in steps:
        match step:
            case Softmax():
                values = softmax(values)
            case TopK():
                best = np.argsort(-values, axis=-1, kind="stable")[:, : step.k]
                return [[_class(int(i), row, labels) for i in top] for top, row in zip(best, values, strict=True)]
    return []


def softmax(scores: FloatArray) -> FloatArray:
    """Probabilities over the last dimension; large scores do not overflow."""
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True), np.float64)


def _class(index: int, row: FloatArray, labels: Sequence[str]) -> Class:
    return Class(index, labels[index] if index < len(labels) else str(index), float(row[index]))
