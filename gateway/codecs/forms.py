"""The forms in which the protocols write tensors, and what each of them cannot carry.

What a client can exchange with a backend through the gateway is what both their forms carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.datatypes import Datatype


@dataclass(slots=True, frozen=True)
class Form:
    """One form.

    Attributes:
        title: protocol and form, for people.
        refused: why a datatype is refused.
        values: why a kind of value is refused, or what becomes of it.
    """

    title: str
    refused: Mapping[Datatype, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


_NO_JSON = "no JSON form"
_HALVES = (Datatype.FP16, Datatype.BF16)

OIP_JSON = Form(
    "Open Inference Protocol, HTTP, JSON",
    dict.fromkeys(_HALVES, _NO_JSON),
    {
        "NaN and infinity": "taken as the bare tokens NaN and Infinity; refused in answers, unless the request's "
        "parameter nan_tokens is true",
        "bytes that are not UTF-8": "refused: JSON holds text",
    },
)
OIP_BINARY = Form("Open Inference Protocol, HTTP, binary")
OIP_GRPC = Form("Open Inference Protocol, gRPC, raw contents")
OIP_GRPC_TYPED = Form(
    "Open Inference Protocol, gRPC, typed contents",
    dict.fromkeys(_HALVES, "no typed form"),
)
TFS_REST = Form(
    "TensorFlow Serving, REST",
    dict.fromkeys((*_HALVES, Datatype.UINT16), _NO_JSON),
    {
        "NaN": "carried as the bare token; one with a sign or a payload is refused towards a backend, and "
        "arrives as the usual one at a client",
        "bytes that are not UTF-8": 'taken as {"b64": …}; in answers so under names that end in _bytes, else refused',
        "empty tensors of several dimensions": "the sizes after the first empty one are lost",
    },
)
TFS_GRPC = Form("TensorFlow Serving, gRPC")
TORCHSERVE_JSON = Form(
    "TorchServe, HTTP, JSON",
    dict.fromkeys(_HALVES, _NO_JSON),
    {
        "NaN and infinity": "taken as the bare tokens NaN and Infinity; refused in answers",
        "bytes that are not UTF-8": 'taken as {"b64": …}; refused in answers: JSON holds text',
    },
)
FORMS = (OIP_JSON, OIP_BINARY, OIP_GRPC, OIP_GRPC_TYPED, TFS_REST, TFS_GRPC, TORCHSERVE_JSON)
