"""The classification extension: the greatest values of an output in place of the output, as texts.

A text is ``value:index`` or ``value:index:label``, the value written as C's ``%f`` and ``%d`` write it.
Source: triton-inference-server/server, docs/protocol/extension_classification.md and src/classification.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Tensor, element_count, join_bytes

# Values of one output that are looked through (Triton's limit), and texts that are made of them: both take the time of
# the event loop.
MAX_VALUES = 1_000_000
MAX_TEXTS = 100_000

_NO_ORDER = (Datatype.BOOL, Datatype.BYTES)


def classify(output: Tensor, count: int, labels: Sequence[str], *, batched: bool) -> Tensor:
    """The ``count`` greatest values of ``output`` (all, if it has fewer), greatest first, equal ones by index.

    Args:
        output: the values; those of one element of the batch are taken together, whatever their shape.
        count: at least 1.
        labels: texts by index; an index past them has none.
        batched: whether the first dimension is the batch.

    Returns:
        A BYTES tensor of the same name and of shape [batch, n], or [n] when not ``batched``.

    Raises:
        InvalidRequest: its datatype has no order, or it is too large.
    """
    field = f"outputs[{output.name!r}].parameters.classification"
    if output.datatype in _NO_ORDER:
        raise InvalidRequest(f"{field}: {output.datatype} cannot be classified")
    values = _numbers(output)
    if values.size > MAX_VALUES:
        raise InvalidRequest(f"{field}: {values.size} values are over the limit of {MAX_VALUES}")
    batch = output.shape[:1] if batched else ()
    width = element_count(output.shape[len(batch) :])
    rows = values.reshape(*(batch or (1,)), width)
    if len(rows) * min(count, width) > MAX_TEXTS:
        raise InvalidRequest(f"{field}: {len(rows)} × {min(count, width)} classes are over the limit of {MAX_TEXTS}")
    found = [_text(row, index, labels) for row in rows for index in _greatest(row, count)]
    return Tensor(output.name, Datatype.BYTES, (*batch, min(count, width)), join_bytes(found))


def _numbers(output: Tensor) -> npt.NDArray[Any]:
    array = output.to_numpy()
    if output.datatype is Datatype.BF16:  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _greatest(row: npt.NDArray[Any], count: int) -> list[int]:
    # NaN is neither greater nor smaller; it goes last.
    key = np.where(np.isnan(row), -np.inf, row) if row.dtype.kind == "f" else row
    # Sorting from the back and reading from the back puts the first of equal values first.
    order: list[int] = (row.size - 1 - np.argsort(key[::-1], kind="stable")[::-1][:count]).tolist()
    return order


def _text(row: npt.NDArray[Any], index: int, labels: Sequence[str]) -> str:
    value = f"{row[index]:f}" if row.dtype.kind == "f" else str(row[index])
    return f"{value}:{index}:{labels[index]}" if index < len(labels) else f"{value}:{index}"
