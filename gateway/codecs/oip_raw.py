"""Open Inference Protocol v2 over HTTP: the request whose body is one tensor's bytes, without any JSON.

Source: triton-inference-server/server, docs/protocol/extension_binary_data.md, "Raw Binary Request".
"""

from __future__ import annotations

import math

from gateway.codecs.oip_http import ResponseForm
from gateway.core.datatypes import ITEMSIZE, Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Buffer, Tensor, check_data, join_bytes

_FIELD = "raw request"


def decode_raw_request(
    body: Buffer, signature: Signature, model: str, version: str, context: RequestContext
) -> tuple[InferRequest, ResponseForm]:
    """The request whose ``body`` is the one input of a model of ``signature``; all outputs are wanted as binary.

    The size of ``body`` gives the one dimension that ``signature`` leaves open. Where it leaves open two, and the first
    of them is the batch, that is 1. A BYTES input has one element, and ``body`` is it, without a length.

    Raises:
        InvalidRequest: the model has several inputs or too many open dimensions, or the size does not fit.
    """
    if len(signature.inputs) != 1:
        raise InvalidRequest(f"{_FIELD}: the model has {len(signature.inputs)} inputs, and only one can be sent so")
    (spec,) = signature.inputs
    if spec.datatype is Datatype.BYTES:
        tensor = _one_element(body, spec)
    else:
        shape = _shape(len(body), spec, batched=signature.batched)
        tensor = check_data(Tensor(spec.name, spec.datatype, shape, body), f"{_FIELD}: input {spec.name!r}")
    return InferRequest(model, (tensor,), context, version), ResponseForm(True, {})


def _one_element(body: Buffer, spec: TensorSpec) -> Tensor:
    if any(size not in (-1, 1) for size in spec.shape):
        raise InvalidRequest(
            f"{_FIELD}: input {spec.name!r} has more than one element: its shape is {list(spec.shape)}"
        )
    return Tensor(spec.name, spec.datatype, (1,) * len(spec.shape), join_bytes([bytes(body)]))


def _shape(nbytes: int, spec: TensorSpec, *, batched: bool) -> tuple[int, ...]:
    shape = list(spec.shape)
    if batched and shape.count(-1) > 1:
        shape[0] = 1
    if shape.count(-1) > 1:
        raise InvalidRequest(f"{_FIELD}: input {spec.name!r} has several open dimensions: {list(spec.shape)}")
    if -1 in shape:
        fixed = math.prod(size for size in shape if size != -1) * ITEMSIZE[spec.datatype]
        shape[shape.index(-1)] = nbytes // fixed if fixed else 0
    return tuple(shape)
