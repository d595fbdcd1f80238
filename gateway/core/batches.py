"""Several requests as one, and its answer as several: rows are put one under the other, and taken apart again.

Tensors stay what they are, raw bytes: rows of one size are joined and cut without being looked at, and BYTES elements
carry their lengths with them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import accumulate, pairwise

from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError
from gateway.core.messages import SCHEDULE_PARAMETERS, InferRequest, InferResponse
from gateway.core.padding import Padding
from gateway.core.tensors import Tensor, bytes_ends, element_count


def likeness(request: InferRequest, padding: Padding | None = None) -> Hashable | None:
    """What requests must have in common to be joined; None for one that has to go alone.

    Alone go those with parameters, which are between the client and its backend (a sequence of requests that belong
    together is one of them), and those whose first dimensions are no batch of one size.
    """
    if not SCHEDULE_PARAMETERS.issuperset(request.parameters) or request.input_parameters:
        return None
    sizes = {tensor.shape[:1] for tensor in request.inputs}
    if len(sizes) != 1 or () in sizes:
        return None
    kinds: Hashable | None = padding and padding.likeness(request.inputs)
    if kinds is None:
        kinds = tuple([(tensor.name, tensor.datatype, tensor.shape[1:]) for tensor in request.inputs])
    return request.version, request.signature, request.outputs, kinds


def join_inputs(requests: Sequence[InferRequest], padding: Padding | None = None) -> tuple[Tensor, ...]:
    """The inputs of ``requests``, which are alike, one under the other in their order."""
    columns = zip(*(request.inputs for request in requests), strict=True)
    return tuple(_join(column if padding is None else padding.filled(column)) for column in columns)


def _join(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    rows = sum(tensor.shape[0] for tensor in tensors)
    return Tensor(first.name, first.datatype, (rows, *first.shape[1:]), b"".join([tensor.data for tensor in tensors]))


def split_response(response: InferResponse, rows: Sequence[int]) -> list[InferResponse]:
    """One answer for each request, which had so many ``rows``.

    Raises:
        BackendError: an output has another number of rows than the inputs had together.
    """
    shares = [_split(output, rows) for output in response.outputs]
    return [
        InferResponse(response.model, response.version, outputs, parameters=response.parameters)
        for outputs in (zip(*shares, strict=True) if shares else [()] * len(rows))
    ]


def _split(output: Tensor, rows: Sequence[int]) -> Iterator[Tensor]:
    if output.shape[:1] != (sum(rows),):
        raise BackendError(
            f"outputs[{output.name!r}]: {sum(rows)} rows are expected of a batch, got shape {list(output.shape)}"
        )
    rest = output.shape[1:]
    row_ends = [0, *accumulate(rows)]
    if output.datatype is Datatype.BYTES:
        ends = [0, *bytes_ends(output.data, f"outputs[{output.name!r}]")]
        cuts = [ends[row * element_count(rest)] for row in row_ends]
    else:
        size = output.nbytes // output.shape[0] if output.shape[0] else 0
        cuts = [row * size for row in row_ends]
    return (
        Tensor(output.name, output.datatype, (count, *rest), output.data[start:end])
        for count, (start, end) in zip(rows, pairwise(cuts), strict=True)
    )
