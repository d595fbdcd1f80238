"""Do all targets give the same answers? Asked once, before anything is timed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import Datatype, datatype_of
from loadtest.payloads.workload import MeasuredModel, Payload, Workload
from model_store.parity.classes import near_ties, same_top, score_rows
from model_store.parity.tolerance import FLOATS, Tolerance
from model_store.parity.values import as_floats, distances, magnitude

Outputs = dict[str, npt.NDArray[np.generic]]

# For models that no manifest speaks for: they may calculate in 11 bits, as GPUs do, and a few steps of that add up.
UNKNOWN_MODEL = Tolerance(ulps=4, compute=Datatype.FP16)
# A manifest says how far an engine may be from the source; two of them may stand on opposite sides of it.
_REACH = 2


@dataclass(slots=True, frozen=True)
class Agreement:
    """How one target's answers compare with the others': the largest absolute difference, and what is wrong if any."""

    largest_difference: float
    problem: str


@dataclass(slots=True, frozen=True)
class Deviation:
    """How one answer differs from the expected one: by how much at most, and what is wrong with it if anything is."""

    largest: float
    problem: str


def compare_answers(answers: Sequence[Sequence[Outputs]], workload: Workload) -> list[Agreement]:
    """Compare every target's answers (outputs by name, for each payload) with those of the majority of the targets.

    The majority's are those of the target with which most answers of the others agree; among equals the first one's.
    """
    if not answers:
        return []
    tables = [[_deviations(own, other, workload) for own in answers] for other in answers]
    usual = max(tables, key=lambda table: sum(not one.problem for deviations in table for one in deviations))
    return [_agreement(deviations, workload) for deviations in usual]


def deviation(payload: Payload, got: Outputs, expected: Outputs) -> Deviation:
    """How the answer ``got`` to ``payload`` differs from the ``expected`` one.

    Of a classifier the predicted classes must be the same, except where the best scores are tied; its scores may then
    be further apart than the model's tolerance lets the outputs of others be.
    """
    model, tolerance = payload.model, payload.model.tolerance
    datatypes = {spec.name: spec.datatype for spec in model.signature.outputs}
    largest = 0.0
    inexact, exact = "", ""  # the first output that is too far off, of either sort
    for name, want in expected.items():
        have = got.get(name)
        if have is None or have.shape != want.shape or have.dtype.kind != want.dtype.kind:
            return Deviation(math.inf, f"output {name!r} is {_form(have)}, expected is {_form(want)}")
        datatype = datatypes.get(name) or datatype_of(want)
        apart = float(distances(have, want, datatype).max(initial=0))
        allowed = _allowed(tolerance, datatype, max(magnitude(have, datatype), magnitude(want, datatype)))
        problem = f"output {name!r} differs by {apart:.3g} ({allowed:.3g} is allowed)" if apart > allowed else ""
        if datatype in FLOATS:
            inexact = inexact or problem
        else:
            exact = exact or problem
        if datatype in FLOATS or not model.class_output:  # how far apart two labels are says nothing
            largest = max(largest, apart)
    if (inexact or exact) and model.class_output and math.isfinite(largest):
        return Deviation(largest, _other_class(model, got, expected, tolerance, exact))
    return Deviation(largest, inexact or exact)


def _deviations(got: Sequence[Outputs], expected: Sequence[Outputs], workload: Workload) -> list[Deviation]:
    return [
        deviation(payload, own, other) for payload, own, other in zip(workload.payloads, got, expected, strict=True)
    ]


def _agreement(deviations: Sequence[Deviation], workload: Workload) -> Agreement:
    largest = max((one.largest for one in deviations), default=0.0)
    for payload, one in zip(workload.payloads, deviations, strict=True):
        if one.problem:
            return Agreement(largest, f"wrong answer for {payload.label}, compared with the others: {one.problem}")
    return Agreement(largest, "")


def _allowed(tolerance: Tolerance | None, datatype: Datatype, scale: float) -> float:
    return _REACH * (tolerance or UNKNOWN_MODEL).allowed(datatype, scale)


def _other_class(
    model: MeasuredModel, got: Outputs, expected: Outputs, tolerance: Tolerance | None, other_label: str
) -> str:
    """What is wrong with the classes; empty when nothing is. Tied scores excuse another class or ``other_label``."""
    spec = next(spec for spec in model.signature.outputs if spec.name == model.class_output)
    have, want = (score_rows(as_floats(outputs[spec.name], spec.datatype)) for outputs in (got, expected))
    allowed = _allowed(tolerance, spec.datatype, magnitude(expected[spec.name], spec.datatype))
    odd = np.flatnonzero(~same_top(want, have, allowed))
    if len(odd):
        return f"class {have[odd[0]].argmax()} instead of {want[odd[0]].argmax()}"
    return "" if near_ties(want, allowed).any() else other_label


def _form(array: npt.NDArray[np.generic] | None) -> str:
    return "missing" if array is None else f"{array.dtype} of shape {[*array.shape]}"
