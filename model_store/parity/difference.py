"""What one comparison measured."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.datatypes import Datatype

SOURCE = "source"  # the participant that all others must agree with


class Difference(msgspec.Struct, frozen=True):
    """How one pair differs in one output for one set of inputs.

    A label output has no distances: ``top1`` is its measure.

    Attributes:
        pair: the two participants; the source is always the first.
        inputs: name of the set of inputs.
        output: name of the output.
        datatype: of the output.
        rows: batch size; 1 for a model without batches.
        scale: largest finite magnitude of the output in this set, or in a typical set if that is larger: the error of
            an answer near zero comes from the numbers that cancelled out.
        max_abs: largest absolute difference, exact for integers; infinite where one side is NaN or Infinity alone.
        max_rel: the same as a share of ``scale``.
        max_ulp: the same in units in the last place at ``scale``.
        allowed: largest absolute difference allowed.
        top1: share of rows that agree on the best class; 1 for outputs without classes.
        top1_needed: least share over all sets of inputs together; 0 where nothing says that the output has classes.
        top5: overlap of the five best classes; 1 for outputs without classes.
        worst_row: the row with the largest difference.
        passed: within ``allowed``, and enough rows agree on the best class.
    """

    pair: tuple[str, str]
    inputs: str
    output: str
    datatype: Datatype
    rows: int
    scale: float
    max_abs: float | int
    max_rel: float
    max_ulp: float
    allowed: float
    top1: float
    top1_needed: float
    top5: float
    worst_row: int
    passed: bool

    @property
    def gated(self) -> bool:
        """Whether the gate depends on it: other pairs than those with the source are information."""
        return SOURCE in self.pair

    @property
    def excess(self) -> float:
        """The difference as a multiple of what is allowed."""
        if self.max_abs == 0:
            return 0.0
        return self.max_abs / self.allowed if self.allowed else float("inf")


def worst_of(differences: Sequence[Difference]) -> Difference:
    """The one furthest beyond what is allowed; among equals the one whose rows agree least, then the first."""
    return max(differences, key=lambda found: (found.excess, -found.top1))


def agreement(differences: Sequence[Difference]) -> tuple[float, float]:
    """Top-1 and top-5 over all rows together."""
    rows = sum(found.rows for found in differences)
    if not rows:
        return 1.0, 1.0
    top1 = sum(found.rows * found.top1 for found in differences) / rows
    top5 = sum(found.rows * found.top5 for found in differences) / rows
    return round(top1, 9), round(top5, 9)  # 19 rows of 20 are 0.95, not a little less
