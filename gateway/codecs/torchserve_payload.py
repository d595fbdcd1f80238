"""What a user's own TorchServe handler is sent and answers, as its configuration declares it.

``json``: one document for the whole request, one for the whole answer. ``raw`` and ``multipart``: one request to
TorchServe for each row, as its handlers take one sample each; TorchServe itself makes batches of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import orjson

from gateway.codecs.json_data import elements_from_json
from gateway.codecs.json_document import decode_json
from gateway.codecs.torchserve_json import nested_value
from gateway.codecs.torchserve_parts import BODY, Part, is_content_type
from gateway.codecs.torchserve_request import CONTENT_TYPE
from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, InvalidRequest
from gateway.core.messages import InferRequest
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Buffer, Tensor, join_bytes, split_bytes

Payload = Literal["oip", "json", "raw", "multipart"]
Document = Literal["instances", "data", "rows"]

# Of a model whose handler nobody but its clients understands.
WHOLE_BODIES = Signature((TensorSpec(BODY, Datatype.BYTES, (-1,)),), (TensorSpec(BODY, Datatype.BYTES, (-1,)),))
JSON_CAPABILITIES = Capabilities(
    dict.fromkeys((Datatype.FP16, Datatype.BF16), "it has no JSON form"), "JSON holds text", "JSON has no NaN"
)

_ANY = msgspec.json.Decoder(Any)
_MAX_DEPTH = 100


@dataclass(slots=True, frozen=True)
class HandlerProfile:
    """How one model's handler is spoken to.

    Attributes:
        payload: ``oip`` is what the model store's own archives take.
        binary: for ``oip``: with binary tensors.
        document: for ``json``: ``{"instances": rows}``, ``{"data": rows}`` or the bare rows.
        content_type: for ``raw``: of the body, unless the request says.
        signature: what the model takes and gives; None leaves that to the model store.
        labels: classes by index; an answer of probability by label becomes scores in this order.
        max_batch_size: largest number of rows in a request.
    """

    payload: Payload = "oip"
    binary: bool = True
    document: Document = "instances"
    content_type: str = "application/octet-stream"
    signature: Signature | None = None
    labels: tuple[str, ...] = ()
    max_batch_size: int = 1
    _rank: Mapping[str, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rank", {label: index for index, label in enumerate(self.labels)})

    @property
    def capabilities(self) -> Capabilities:
        """What the payload can carry."""
        in_json = self.payload == "json" or (self.payload == "oip" and not self.binary)
        return JSON_CAPABILITIES if in_json else EVERYTHING

    # ---- requests

    def requests(self, request: InferRequest) -> list[list[Part]]:
        """The parts of each request to TorchServe; a single part called ``body`` is a plain body.

        Raises:
            InvalidRequest: the inputs do not fit the payload.
            Unsupported: an input has no JSON form.
        """
        if self.payload == "json":
            return [[Part(BODY, self._document(request.inputs), "application/json")]]
        if self.payload == "multipart":
            columns = [[Part(tensor.name, data, kind) for data, kind in _rows(tensor)] for tensor in request.inputs]
            return [list(row) for row in zip(*columns, strict=True)]
        (tensor,) = request.inputs
        if tensor.datatype is not Datatype.BYTES:
            raise InvalidRequest(f"inputs[{tensor.name!r}]: BYTES is expected, got {tensor.datatype}")
        content_type = request.parameters.get(CONTENT_TYPE, self.content_type)
        if not isinstance(content_type, str) or not is_content_type(content_type):
            raise InvalidRequest(f"parameters.{CONTENT_TYPE}: the type of a body is expected")
        return [[Part(BODY, element, content_type)] for element in split_bytes(tensor.data, f"inputs[{tensor.name!r}]")]

    def _document(self, inputs: Sequence[Tensor]) -> bytes:
        columns = {tensor.name: nested_value(tensor) for tensor in inputs}
        value: Any = columns
        if len(columns) == 1:
            (value,) = columns.values()
        elif self.document != "data":
            value = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return _dump(value if self.document == "rows" else {self.document: value})

    # ---- answers

    def outputs(self, bodies: Sequence[bytes], rows: int) -> tuple[Tensor, ...]:
        """The outputs in the answers to ``requests``, for a request of ``rows`` rows.

        Raises:
            BackendError: they are not what the configuration declares.
        """
        specs = (self.signature or WHOLE_BODIES).outputs
        try:
            if self.payload == "json":
                return tuple(self._decode(specs, _unwrapped(_parse(bodies[0])), rows))
            if len(specs) == 1 and specs[0].datatype is Datatype.BYTES:
                shape = (len(bodies), *(1 for _ in specs[0].shape[1:]))
                return (Tensor(specs[0].name, Datatype.BYTES, shape, join_bytes(bodies)),)
            return tuple(self._decode(specs, [_unwrapped(_parse(body)) for body in bodies], rows))
        except (InvalidRequest, KeyError, TypeError, ValueError) as error:
            text = error.message if isinstance(error, InvalidRequest) else f"{type(error).__name__}: {error}"
            raise BackendError(f"the backend's answer is not what its configuration declares: {text}") from None

    def _decode(self, specs: Sequence[TensorSpec], value: Any, rows: int) -> Iterable[Tensor]:
        if len(specs) == 1:
            columns = {specs[0].name: value}
        elif isinstance(value, dict):
            columns = value
        else:
            columns = {spec.name: [row[spec.name] for row in value] for spec in specs}
        for spec in specs:
            yield self._tensor(spec, columns[spec.name], rows)

    def _tensor(self, spec: TensorSpec, value: Any, rows: int) -> Tensor:
        if rows == 1 and not isinstance(value, list):
            value = [value]  # the answer to one sample
        if spec.datatype is Datatype.BYTES:
            texts = [each if isinstance(each, str) else _dump(each) for each in _listed(value)]
            shape = (len(texts), *(1 for _ in spec.shape[1:]))
            return Tensor(spec.name, Datatype.BYTES, shape, join_bytes(texts))
        if self.labels and value and all(isinstance(row, dict) for row in value):
            value = [self._scores(row) for row in value]
        shape, data = elements_from_json(value, spec.datatype, spec.name)
        if rows == 1 and len(shape) == len(spec.shape) - 1:
            shape = (1, *shape)
        if not spec.accepts_shape(shape):
            raise InvalidRequest(f"{spec.name}: shape {list(shape)} does not match {list(spec.shape)}")
        return Tensor(spec.name, spec.datatype, shape, data)

    def _scores(self, probabilities: Mapping[str, Any]) -> list[Any]:
        """Probability by label as one score a class; classes that the handler left out have 0."""
        scores: list[Any] = [0] * len(self.labels)
        for label, probability in probabilities.items():
            scores[self._rank[label]] = probability
        return scores


def _rows(tensor: Tensor) -> Iterable[tuple[Buffer, str]]:
    """Each row's bytes as a part, and their type."""
    if tensor.datatype is Datatype.BYTES:
        for element in split_bytes(tensor.data, f"inputs[{tensor.name!r}]"):
            yield element, ""
    else:
        for row in nested_value(tensor):
            yield _dump(row), "application/json"


def _parse(body: bytes) -> Any:
    return decode_json(body, _ANY, max_depth=_MAX_DEPTH)


def _unwrapped(document: Any) -> Any:
    """The rows of an answer; TorchServe's request envelopes put them under ``predictions``."""
    if isinstance(document, dict) and document.keys() == {"predictions"}:
        return document["predictions"]
    return document


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, got {type(value).__name__}")
    return value


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # integers past 64 bits, which a handler may answer
        return json.dumps(value).encode()
