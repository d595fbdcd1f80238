"""Agreement on classes where scores may be tied: forests tie all the time, and the winner is then a matter of luck."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from model_store.parity.values import Floats

Rows = npt.NDArray[np.bool_]
FEW = 5  # of the classes, the best, that top-5 looks at


def score_rows(scores: Floats) -> Floats:
    """One row of class scores each; the classes stand on the last axis. NaN wins nothing."""
    classes = scores.shape[-1] if scores.ndim else 1
    rows = scores.reshape(math.prod(scores.shape[:-1]), classes)
    return np.where(np.isnan(rows), -np.inf, rows)


def same_top(reference: Floats, other: Floats, allowed: float) -> Rows:
    """Rows in which the reference's score of the other's top class is, within ``allowed``, its best."""
    chosen = np.take_along_axis(reference, other.argmax(-1)[:, None], -1)[:, 0]
    return np.asarray(chosen >= reference.max(-1) - allowed)


def few_overlap(reference: Floats, other: Floats, allowed: float) -> float:
    """Share of the other's five best classes that are, within ``allowed``, among the reference's five best."""
    count = min(FEW, reference.shape[-1])
    chosen = np.argpartition(-other, count - 1, axis=-1)[:, :count]
    least = np.partition(reference, -count, axis=-1)[:, -count, None]
    return float((np.take_along_axis(reference, chosen, -1) >= least - allowed).mean())


def near_ties(reference: Floats, allowed: float) -> Rows:
    """Rows whose second best score is within ``allowed`` of the best: either class may be the label."""
    if reference.shape[-1] < 2:
        return np.zeros(len(reference), np.bool_)
    second, best = np.partition(reference, -2, axis=-1)[:, -2:].T
    return np.asarray(second >= best - allowed)
