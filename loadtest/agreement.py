"""Do all targets give the same answers? Asked once, before anything is timed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# How far apart the answers of different engines may be where there is no class to compare.
_TOLERANCE = 1e-3

Outputs = dict[str, npt.NDArray[np.generic]]


@dataclass(slots=True, frozen=True)
class Agreement:
    """How one target's answers compare with the others': the largest absolute difference, and what is wrong if any."""

    largest_difference: float
    problem: str


def compare_answers(answers: Sequence[Sequence[Outputs]], class_output: str) -> list[Agreement]:
    """Compare every target's answers (outputs by name, for each sample) with those of the majority of the targets.

    With a ``class_output`` the predicted classes must be the same, without one the outputs must be near each other.
    """
    if not answers:
        return []
    classes = [_classes(outputs, class_output) for outputs in answers]
    usual, _ = Counter(classes).most_common(1)[0]
    reference = answers[classes.index(usual)]
    differences = [_largest_difference(outputs, reference) for outputs in answers]
    return [
        Agreement(difference, _class_problem(own, usual) or _difference_problem(difference, bool(class_output)))
        for difference, own in zip(differences, classes, strict=True)
    ]


def _classes(answers: Sequence[Outputs], class_output: str) -> tuple[int, ...]:
    if not class_output:
        return ()
    return tuple(int(label) for outputs in answers for label in outputs[class_output].argmax(axis=-1).ravel())


def _class_problem(classes: tuple[int, ...], usual: tuple[int, ...]) -> str:
    for position, (got, want) in enumerate(zip(classes, usual, strict=True), start=1):
        if got != want:
            return f"wrong answer: class {got} for sample {position}, where the others say {want}"
    return ""


def _difference_problem(difference: float, classifies: bool) -> str:
    tolerable = math.isfinite(difference) and (classifies or difference <= _TOLERANCE)
    return "" if tolerable else f"wrong answer: differs by {difference:.3g} from the others"


def _largest_difference(left: Sequence[Outputs], right: Sequence[Outputs]) -> float:
    return max(
        _difference(array, other[name])
        for outputs, other in zip(left, right, strict=True)
        for name, array in outputs.items()
    )


def _difference(left: npt.NDArray[np.generic], right: npt.NDArray[np.generic]) -> float:
    """Largest absolute difference; infinite where the two cannot be subtracted and are not equal."""
    if left.shape == right.shape and left.dtype.kind in "fiub" and right.dtype.kind in "fiub":
        return float(np.max(np.abs(left.astype(np.float64) - right.astype(np.float64)), initial=0.0))
    return 0.0 if np.array_equal(left, right) else float("inf")
