"""Whether a server's answer to one of a model's samples is what the model's source answered in the build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_store.errors import ParityFailed
from model_store.manifest import Manifest
from model_store.parity.compare import compare
from model_store.parity.difference import SOURCE, worst_of
from model_store.parity.verdict import check

Array = npt.NDArray[np.generic]
_SERVER = "the server"


@dataclass(slots=True, frozen=True)
class Judgement:
    """One answer held against the source's.

    Attributes:
        max_abs: largest absolute difference, of the output that uses up most of what is allowed; infinite where the
            answer has another form.
        allowed: what is allowed there.
        reason: why it does not pass; empty when it does.
    """

    max_abs: float
    allowed: float
    reason: str


def judge(manifest: Manifest, sample: str, expected: Mapping[str, Array], answered: Mapping[str, Array]) -> Judgement:
    """Hold what a server ``answered`` to ``sample`` against what the source did, by the gate's own rules."""
    answers = {SOURCE: {sample: dict(expected)}, _SERVER: {sample: dict(answered)}}
    signature, tolerance = manifest.model_signature(), manifest.tolerance
    try:
        differences = compare(answers, signature, tolerance, manifest.scores_output)
    except ParityFailed as error:
        return Judgement(float("inf"), 0.0, str(error))
    worst = worst_of(differences)
    try:
        check(manifest.name, differences)
    except ParityFailed as error:
        return Judgement(float(worst.max_abs), worst.allowed, str(error))
    return Judgement(float(worst.max_abs), worst.allowed, "")
