"""Several samples in one request: concatenated along the batch dimension."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.core.tensors import Tensor, join_bytes
from loadtest.errors import PayloadError
from loadtest.payloads.making import make_payload
from loadtest.payloads.workload import MeasuredModel, Payload

_Shapes = tuple[tuple[int, ...], ...]


def check_batch(model: MeasuredModel, rows: int, most: int) -> None:
    """Return when ``model`` takes ``rows`` in a request; ``most`` is its limit, 0 where none is known.

    Raises:
        PayloadError: it does not.
    """
    if rows < 1:
        raise PayloadError(f"a batch of {rows} rows cannot be sent; at least 1 is expected")
    if rows > 1 and not model.signature.batched:
        raise PayloadError(f"model {model.name} has no batch dimension, so a batch of {rows} rows cannot be made")
    if most and rows > most:
        raise PayloadError(f"model {model.name} takes at most {most} rows in a request, not {rows}")


def batched(payloads: Sequence[Payload], rows: int) -> list[Payload]:
    """As many payloads of ``rows`` rows: number i begins with payload i and goes round those of its shape.

    Args:
        payloads: of one model.
        rows: 1 leaves them as they are.

    Raises:
        PayloadError: one has more rows than that.
    """
    if rows == 1:
        return list(payloads)
    for payload in payloads:
        if payload.rows > rows:
            raise PayloadError(f"{payload.label} has {payload.rows} rows, more than the batch of {rows}")
    return [_batch(payload, [*payloads[first:], *payloads[:first]], rows) for first, payload in enumerate(payloads)]


def _batch(leader: Payload, others: Sequence[Payload], rows: int) -> Payload:
    alike = [other for other in others if _shapes(other) == _shapes(leader)]
    chosen: list[Payload] = []
    while sum(payload.rows for payload in chosen) < rows:
        chosen.append(alike[len(chosen) % len(alike)])
    inputs = [
        _concatenated([payload.request.inputs[index] for payload in chosen], rows)
        for index in range(len(leader.request.inputs))
    ]
    return make_payload(leader.model, leader.request.version, inputs, f"{leader.label} ×{rows}")


def _shapes(payload: Payload) -> _Shapes:
    return tuple(tensor.shape[1:] for tensor in payload.request.inputs)


def _concatenated(tensors: Sequence[Tensor], rows: int) -> Tensor:
    array = np.concatenate([tensor.to_numpy() for tensor in tensors])[:rows]
    data = join_bytes(array.ravel().tolist()) if array.dtype == object else array.tobytes()
    return Tensor(tensors[0].name, tensors[0].datatype, array.shape, data)
