"""Whether a server's answer to one of a model's samples is what the model's source answered in the build."""

from __future__ import annotations

import math
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
class Verdict:
    """One answer held against the source's.

    Attributes:
        sample: what was asked.
        max_abs: largest absolute difference, of the output that uses up most of what is allowed; infinite where the
            answer has another form.
        allowed: what is allowed there.
        excess: the difference as a multiple of that.
        reason: why it does not pass; empty when it does.
    """

    sample: str
    max_abs: float
    allowed: float
    excess: float
    reason: str

    @property
    def passed(self) -> bool:
        return not self.reason


def judge(manifest: Manifest, sample: str, expected: Mapping[str, Array], answered: Mapping[str, Array]) -> Verdict:
    """Hold what a server ``answered`` to ``sample`` against what the source did, by the gate's own rules."""
    answers = {SOURCE: {sample: dict(expected)}, _SERVER: {sample: dict(answered)}}
    signature, tolerance = manifest.model_signature(), manifest.tolerance
    try:
        differences = compare(answers, signature, tolerance, manifest.scores_output)
    except ParityFailed as error:
        return Verdict(sample, math.inf, 0.0, math.inf, str(error))
    reason = ""
    try:
        check(manifest.name, differences)
    except ParityFailed as error:
        reason = str(error)
    worst = worst_of(differences)
    return Verdict(sample, float(worst.max_abs), worst.allowed, worst.excess, reason)
