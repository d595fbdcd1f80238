"""Measure how two participants' answers differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import msgspec
import numpy as np

from gateway.core.datatypes import Datatype
from gateway.core.signatures import TensorSpec
from model_store.parity.classes import Rows, few_overlap, near_ties, same_top, score_rows
from model_store.parity.difference import SOURCE, Difference, agreement
from model_store.parity.tolerance import FLOATS, Tolerance, ulp
from model_store.parity.values import Array, Tensors, as_floats, distances, magnitude

Answers = Mapping[str, Tensors]  # set of inputs → outputs by name


@dataclass(slots=True, frozen=True)
class Pair:
    """Two participants whose answers have the same form; the first is the reference where classes are tied.

    Attributes:
        names: of the two.
        first: what one answered.
        second: what the other answered.
        batched: whether the first dimension of every output is the batch.
        tolerance: how far from the source an answer may be.
        scores: the output with one score a class; None when none is known.
    """

    names: tuple[str, str]
    first: Answers
    second: Answers
    batched: bool
    tolerance: Tolerance
    scores: TensorSpec | None

    def differences(self, spec: TensorSpec) -> list[Difference]:
        """In one output, on every set of inputs."""
        ties = self._ties() if self._may_be_label(spec) else {}
        found = [self._measure(spec, inputs, scale, ties.get(inputs)) for inputs, scale in self._scales(spec).items()]
        # Classes are judged on all rows together: in a batch of one, 95 % cannot agree.
        top1, _ = agreement(found)
        return [
            msgspec.structs.replace(one, passed=one.passed and (one.top1 == 1 or top1 >= one.top1_needed))
            for one in found
        ]

    def _measure(self, spec: TensorSpec, inputs: str, scale: float, ties: Rows | None) -> Difference:
        first, second = self.first[inputs][spec.name], self.second[inputs][spec.name]
        rows = len(first) if self.batched else 1
        allowed = self._allowed(spec, scale)
        apart = distances(first, second, spec.datatype)
        by_row = apart.reshape(rows, -1).max(-1, initial=0) if apart.size else np.zeros(1)
        top1, top5, needed = 1.0, 1.0, 0.0
        if ties is not None and 0 < rows == first.size == len(ties):
            by_row = (apart.reshape(-1) != 0) & ~ties
            apart = np.zeros(1)
            top1, needed = 1 - float(by_row.mean()), self._needed()
        elif self._has_classes(spec, first):
            a, b = (score_rows(as_floats(array, spec.datatype)) for array in (first, second))
            top1, top5 = float(same_top(a, b, allowed).mean()), few_overlap(a, b, allowed)
            needed = self._needed() if spec == self.scores else 0.0
        max_abs = apart.max(initial=0).item()
        return Difference(
            pair=self.names,
            inputs=inputs,
            output=spec.name,
            datatype=spec.datatype,
            rows=rows,
            scale=scale,
            max_abs=max_abs,
            max_rel=max_abs / scale if scale else float(max_abs),
            max_ulp=max_abs / ulp(spec.datatype, scale),
            allowed=allowed,
            top1=top1,
            top1_needed=needed,
            top5=top5,
            worst_row=int(by_row.argmax()),
            passed=max_abs <= allowed,
        )

    def _scales(self, spec: TensorSpec) -> dict[str, float]:
        """The scale of an output by set of inputs; see ``Difference.scale``."""
        largest = {
            inputs: max(magnitude(answers[inputs][spec.name], spec.datatype) for answers in (self.first, self.second))
            for inputs in self.first
        }
        typical = median(largest.values()) if largest else 0.0
        return {inputs: max(own, typical) for inputs, own in largest.items()}

    def _allowed(self, spec: TensorSpec, scale: float) -> float:
        return self._reach() * self.tolerance.allowed(spec.datatype, scale)

    def _needed(self) -> float:
        return 1 - self._reach() * (1 - self.tolerance.top1)

    def _reach(self) -> int:
        """Two engines, each near enough to the source, may stand on opposite sides of it."""
        return 1 if SOURCE in self.names else 2

    def _may_be_label(self, spec: TensorSpec) -> bool:
        exact = spec.datatype not in FLOATS and spec.datatype is not Datatype.BOOL
        return self.scores is not None and spec != self.scores and exact

    def _has_classes(self, spec: TensorSpec, array: Array) -> bool:
        several = spec == self.scores or (array.ndim == 2 and array.shape[-1] > 1)
        return several and spec.datatype in FLOATS and array.size > 0

    def _ties(self) -> dict[str, Rows]:
        """By set of inputs: the rows whose best scores are so near that either class may be the label."""
        if self.scores is None:
            return {}
        return {
            inputs: near_ties(
                score_rows(as_floats(self.first[inputs][self.scores.name], self.scores.datatype)),
                self._allowed(self.scores, scale),
            )
            for inputs, scale in self._scales(self.scores).items()
        }
