"""Tensors into payloads, held against the model's signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.messages import NO_PARAMETERS, InferRequest, Parameter, RequestContext
from gateway.core.signatures import TensorSpec
from gateway.core.tensors import Tensor
from loadtest.errors import PayloadError
from loadtest.payloads.workload import MeasuredModel, Payload

Array = npt.NDArray[np.generic]

_PROTOCOL = "loadtest"


def tensors_for(model: MeasuredModel, arrays: Mapping[str, Array]) -> list[Tensor]:
    """``arrays`` by input name, as tensors; raises InvalidRequest for elements that no datatype carries.

    Where the model takes BF16, which numpy lacks, uint16 holds the bit patterns.
    """
    patterns = {spec.name for spec in model.signature.inputs if spec.datatype is Datatype.BF16}
    tensors = [Tensor.from_numpy(name, array) for name, array in arrays.items()]
    return [
        replace(tensor, datatype=Datatype.BF16)
        if tensor.name in patterns and tensor.datatype is Datatype.UINT16
        else tensor
        for tensor in tensors
    ]


def make_payload(
    model: MeasuredModel,
    version: str,
    inputs: Sequence[Tensor],
    label: str,
    parameters: Mapping[str, Parameter] = NO_PARAMETERS,
) -> Payload:
    """The payload of ``inputs``, in the model's own order. ``version`` is the one to ask for, empty for the default.

    A single sample gets the batch dimension that it lacks.

    Raises:
        PayloadError: they do not fit the model.
    """
    specs = {spec.name: spec for spec in model.signature.inputs}
    order = {name: position for position, name in enumerate(specs)}
    tensors = tuple(
        _with_batch(specs[tensor.name], tensor) if tensor.name in specs else tensor
        for tensor in sorted(inputs, key=lambda tensor: order.get(tensor.name, len(order)))
    )
    try:
        model.signature.check_inputs(tensors)
    except InvalidRequest as error:
        raise PayloadError(f"{label} does not fit model {model.name}: {error.message}") from None
    if any(0 in tensor.shape for tensor in tensors):
        raise PayloadError(f"{label} does not fit model {model.name}: an input without elements measures nothing")
    request = InferRequest(model.name, tensors, RequestContext(_PROTOCOL), version=version, parameters=parameters)
    rows = tensors[0].shape[0] if model.signature.batched else 1
    return Payload(model, request, label, rows)


def _with_batch(spec: TensorSpec, tensor: Tensor) -> Tensor:
    if spec.shape[:1] == (-1,) and len(tensor.shape) == len(spec.shape) - 1:
        return replace(tensor, shape=(1, *tensor.shape))
    return tensor
