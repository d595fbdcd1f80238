"""How far apart the answers of two servers to one request are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import Datatype
from gateway.core.tensors import Tensor

# The largest difference that is allowed in an output of a datatype, by the largest finite magnitude in it.
Allowed = Callable[[Datatype, float], float]
Array = npt.NDArray[np.generic]

_FLOATS = frozenset((Datatype.FP16, Datatype.BF16, Datatype.FP32, Datatype.FP64))
_BLOCK = 2**17  # elements that are looked at together: a tensor of any size takes a few MB more


@dataclass(slots=True, frozen=True)
class Tolerance:
    """A float output may be ``abs`` and, of its largest magnitude, ``rel`` away; everything else must be equal."""

    abs: float = 1e-6
    rel: float = 1e-3

    def allowed(self, datatype: Datatype, scale: float) -> float:
        """The largest difference in an output of ``datatype`` whose largest magnitude is ``scale``."""
        return self.abs + self.rel * scale if datatype in _FLOATS else 0.0


@dataclass(slots=True, frozen=True)
class Difference:
    """How one output differs.

    Attributes:
        output: its name.
        problem: why there is nothing to measure, such as another shape; empty when there is.
        max_abs: largest absolute difference; infinite where one side alone is NaN or Infinity, or there is a problem;
            1 where BOOL or BYTES are unequal.
        max_rel: the same as a share of the largest finite magnitude on either side.
        allowed: how large ``max_abs`` may be; 0 for outputs that are equal to the last bit.
        rows: how many rows have scores of classes; 0 for outputs without.
        agreeing: how many of them have the same best class; where best scores are equal, either is.
    """

    output: str
    problem: str = ""
    max_abs: float = 0.0
    max_rel: float = 0.0
    allowed: float = 0.0
    rows: int = 0
    agreeing: int = 0

    @property
    def within(self) -> bool:
        """Whether it is no larger than what is allowed."""
        return self.max_abs <= self.allowed


def differences(
    first: Sequence[Tensor], second: Sequence[Tensor], wanted: Sequence[str], allowed: Allowed, *, batched: bool
) -> list[Difference]:
    """Hold ``second`` against ``first``, output by output, whatever their order.

    Args:
        first: the answer that counts.
        second: the other one.
        wanted: names of the outputs that matter; empty means every one that either has.
        allowed: how large a difference may be.
        batched: whether first dimensions are the batch.

    Raises:
        ValueError: data that does not fit its own shape.
    """
    ours, theirs = ({tensor.name: tensor for tensor in tensors} for tensors in (first, second))
    names = wanted or [*ours, *(name for name in theirs if name not in ours)]
    return [_difference(name, ours.get(name), theirs.get(name), allowed, batched=batched) for name in names]


def _difference(
    name: str, first: Tensor | None, second: Tensor | None, allowed: Allowed, *, batched: bool
) -> Difference:
    if first is None or second is None:
        return _unlike(name, "only one of the answers has it")
    if first.datatype is not second.datatype:
        return _unlike(name, f"{first.datatype} and {second.datatype}")
    if first.shape != second.shape:
        return _unlike(name, f"shapes {[*first.shape]} and {[*second.shape]}")
    has_classes = _has_classes(first, batched=batched)
    if first.data == second.data:
        rows = math.prod(first.shape[:-1]) if has_classes else 0
        return Difference(name, rows=rows, agreeing=rows)
    a, b = first.to_numpy(), second.to_numpy()
    max_abs, scale = _largest(a, b, first.datatype)
    rows, agreeing = _agreement(a, b, first.datatype) if has_classes else (0, 0)
    max_rel = max_abs / scale if scale else max_abs
    return Difference(name, "", max_abs, max_rel, allowed(first.datatype, scale), rows, agreeing)


def _unlike(name: str, problem: str) -> Difference:
    return Difference(name, problem, math.inf, math.inf)


def _has_classes(tensor: Tensor, *, batched: bool) -> bool:
    """Whether it can be one score a class: several floats for each row, or for the whole request without a batch."""
    rank = 2 if batched else len(tensor.shape)
    return tensor.datatype in _FLOATS and 1 <= len(tensor.shape) == rank <= 2 and tensor.shape[-1] > 1


def _largest(first: Array, second: Array, datatype: Datatype) -> tuple[float, float]:
    """The largest difference and the largest finite magnitude."""
    max_abs = scale = 0.0
    for a, b in _blocks(first, second):
        if datatype in _FLOATS:
            found = _of_floats(_numbers(a, datatype), _numbers(b, datatype))
        elif datatype in (Datatype.BOOL, Datatype.BYTES):
            found = float((a != b).any()), 1.0
        else:
            found = _of_integers(a, b)
        max_abs, scale = max(max_abs, found[0]), max(scale, found[1])
    return max_abs, scale


def _blocks(first: Array, second: Array) -> Iterator[tuple[Array, Array]]:
    a, b = first.reshape(-1), second.reshape(-1)
    for start in range(0, a.size, _BLOCK):
        yield a[start : start + _BLOCK], b[start : start + _BLOCK]


def _numbers(array: Array, datatype: Datatype) -> npt.NDArray[np.float64]:
    """The elements of a float tensor, exactly."""
    if datatype is Datatype.BF16:  # a BF16 number is the upper half of an FP32
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    return array.astype(np.float64)


def _of_floats(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> tuple[float, float]:
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(a - b)
    apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0  # equal infinities, NaN on both sides
    apart[np.isnan(apart)] = np.inf  # NaN on one side
    scale = max(float(np.abs(each).max(where=np.isfinite(each), initial=0.0)) for each in (a, b))
    return float(apart.max()), scale


def _of_integers(first: Array, second: Array) -> tuple[float, float]:
    # Modulo 2⁶⁴ the difference of two integers is exact, even between the ends of INT64.
    a, b = first.astype(np.uint64), second.astype(np.uint64)
    apart = np.where(first > second, a - b, b - a)  # type: ignore[operator]
    scale = max(abs(int(each)) for array in (first, second) for each in (array.min(), array.max()))
    return float(apart.max()), float(scale)


def _agreement(first: Array, second: Array, datatype: Datatype) -> tuple[int, int]:
    """Rows, and those of them whose best class on the second side is a best one on the first; NaN wins nothing."""
    a, b = (_numbers(array, datatype).reshape(-1, array.shape[-1]) for array in (first, second))
    a, b = (np.where(np.isnan(scores), -np.inf, scores) for scores in (a, b))
    chosen = np.take_along_axis(a, b.argmax(-1)[:, None], -1)[:, 0]
    return len(a), int((chosen == a.max(-1)).sum())
