"""What a TorchServe client sends to a model: parts that hold pictures, texts, JSON or OIP bodies, as an InferRequest.

A model whose only input is BYTES called ``body`` gets a body as it came: that is how a TorchServe behind the gateway
serves models whose handlers nobody but their clients understands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gateway.codecs import oip_http
from gateway.codecs.json_document import decode_json
from gateway.codecs.torchserve_json import columns_of, element_of, has_batch, is_base64, tensor_from_value, texts_in
from gateway.codecs.torchserve_parts import BODY, Part
from gateway.core.catalog import ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Buffer, Tensor, join_bytes

CONTENT_TYPE = "content_type"  # of a body that passes untouched, as a parameter of the request and of the response

_ANY = msgspec.json.Decoder(Any)
_WRAPPERS = ("data", BODY)  # names that TorchServe's handlers look a request's content up by


@dataclass(slots=True, frozen=True)
class AnswerForm:
    """How the client wants its answer.

    Attributes:
        whole: as the backend gave it.
        oip: as an OIP body.
        predictions: inside ``{"predictions": …}``, one entry a row.
        single: the request was one sample without a batch dimension, and so is the answer.
        classes: probability by label, where the model is a classifier.
    """

    whole: bool = False
    oip: oip_http.ResponseForm | None = None
    predictions: bool = False
    single: bool = False
    classes: bool = False


@dataclass(slots=True, frozen=True)
class _Call:
    model: ServedModel
    context: RequestContext
    limits: Limits

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        return {spec.name: spec for spec in self.model.signature.inputs}

    def request(self, inputs: Sequence[Tensor]) -> InferRequest:
        return InferRequest(self.model.name, tuple(inputs), self.context, version=self.model.version)


def takes_whole_bodies(signature: Signature) -> bool:
    """Whether a model of ``signature`` is given bodies as they come."""
    return [(spec.name, spec.datatype) for spec in signature.inputs] == [(BODY, Datatype.BYTES)]


def decode_whole(
    body: Buffer, content_type: str, model: ServedModel, context: RequestContext
) -> tuple[InferRequest, AnswerForm]:
    """The request to a model that takes whole bodies."""
    inputs = (Tensor(BODY, Datatype.BYTES, (1,), join_bytes((bytes(body),))),)
    parameters = {CONTENT_TYPE: content_type} if content_type else {}
    request = InferRequest(model.name, inputs, context, version=model.version, parameters=parameters)
    return request, AnswerForm(whole=True)


def decode_oip(
    body: Buffer, header_length: int | None, model: ServedModel, context: RequestContext, limits: Limits
) -> tuple[InferRequest, AnswerForm]:
    """The request in an OIP ``body``; raises as ``oip_http.decode_request``."""
    request, form = oip_http.decode_request(body, header_length, model.name, model.version, context, limits)
    return request, AnswerForm(oip=form)


def decode_parts(
    parts: Sequence[Part], model: ServedModel, context: RequestContext, limits: Limits
) -> tuple[InferRequest, AnswerForm]:
    """The request in ``parts``, and the form of its answer.

    Raises:
        InvalidRequest: it does not fit the model; names the part or the field.
        PayloadTooLarge: over one of ``limits``.
    """
    call = _Call(model, context, limits)
    specs = call.specs
    if not parts:
        raise InvalidRequest("body: it is empty")
    if len(parts) == 1 and (parts[0].name not in specs or parts[0].name in _WRAPPERS):
        return _decode_body(parts[0], call)
    tensors: dict[str, tuple[Tensor, bool]] = {}
    for part in parts:
        spec = specs.get(part.name)
        if spec is None:
            raise InvalidRequest(f"parts: unknown input {part.name[:40]!r}; the model takes {[*specs]}")
        if part.name in tensors:
            raise InvalidRequest(f"parts: duplicate name {part.name!r}")
        tensors[part.name] = _decode_named_part(part, spec, limits)
    return _finish(tensors, call)


def _decode_body(part: Part, call: _Call) -> tuple[InferRequest, AnswerForm]:
    if not _is_json(part):
        return _decode_raw([bytes(part.data)], call, AnswerForm(single=True), part.name)
    document = decode_json(part.data, _ANY, max_depth=call.limits.json_depth)
    if _is_oip(document):
        return decode_oip(part.data, None, call.model, call.context, call.limits)
    if isinstance(document, dict) and "instances" in document and not document.keys() <= call.specs.keys():
        rows = document["instances"]
        if not isinstance(rows, list) or not rows:
            raise InvalidRequest("instances: a list of at least one instance is expected")
        request, form = _decode_value(rows, call, "instances")
        return request, replace(form, predictions=True, single=False)
    if isinstance(document, dict) and len(document) == 1 and not document.keys() <= call.specs.keys():
        (name,) = document
        if name in _WRAPPERS:
            return _decode_value(document[name], call, name)
    return _decode_value(document, call, part.name)


def _decode_value(value: Any, call: _Call, field: str) -> tuple[InferRequest, AnswerForm]:
    """``value`` is a row, a list of rows, or an object with one of these for each input."""
    if not call.specs:
        raise InvalidRequest(f"{field}: what the model takes is not known here; send an OIP body")
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        rows = [_unwrapped(row, call) for row in value]
        value = columns_of(rows, field) if isinstance(rows[0], dict) and not is_base64(rows[0]) else rows
    if isinstance(value, dict) and not is_base64(value):
        unknown = next((name for name in value if name not in call.specs), None)
        if unknown is not None:
            raise InvalidRequest(f"{field}: unknown input {unknown[:40]!r}; the model takes {[*call.specs]}")
        return _finish(
            {name: tensor_from_value(call.specs[name], each, f"{field}[{name!r}]") for name, each in value.items()},
            call,
        )
    texts = texts_in(value)
    if texts is not None and call.model.prepare is not None:
        form = AnswerForm(single=not isinstance(value, list))
        # A picture in JSON is Base64 with or without saying so: TorchServe's own handlers take both.
        pictures = call.model.takes == "pictures"
        return _decode_raw([element_of(text, field, base64_text=pictures) for text in texts], call, form, field)
    if len(call.specs) != 1:
        raise InvalidRequest(f"{field}: the model takes {[*call.specs]}: name them")
    (spec,) = call.specs.values()
    return _finish({spec.name: tensor_from_value(spec, value, field)}, call)


def _decode_raw(elements: list[bytes], call: _Call, form: AnswerForm, field: str) -> tuple[InferRequest, AnswerForm]:
    """Pictures or texts for a model that prepares them, or elements of the one BYTES input of one that does not."""
    data = join_bytes(elements)
    if call.model.prepare is not None:
        name = BODY
        while name in call.specs:
            name += "_"
        return call.request([Tensor(name, Datatype.BYTES, (len(elements),), data)]), replace(form, classes=True)
    specs = [*call.specs.values()]
    if len(specs) != 1 or specs[0].datatype is not Datatype.BYTES:
        raise InvalidRequest(
            f"{field}: the model takes the tensors {[*call.specs]}, and neither pictures nor texts; send JSON"
        )
    shape = (len(elements), *(1 for _ in specs[0].shape[1:])) if specs[0].shape else ()
    return call.request([Tensor(specs[0].name, Datatype.BYTES, shape, data)]), form


def _finish(tensors: Mapping[str, tuple[Tensor, bool]], call: _Call) -> tuple[InferRequest, AnswerForm]:
    """``tensors`` come with whether each was one sample without its batch dimension."""
    singles = {single for _, single in tensors.values()}
    if len(singles) > 1:
        raise InvalidRequest("inputs: some have a batch dimension and some have none")
    return call.request([tensor for tensor, _ in tensors.values()]), AnswerForm(single=singles == {True})


def _decode_named_part(part: Part, spec: TensorSpec, limits: Limits) -> tuple[Tensor, bool]:
    field = f"parts[{part.name!r}]"
    if spec.datatype is Datatype.BYTES and part.content_type != "application/json":
        shape = (1,) * len(spec.shape)
        return Tensor(spec.name, Datatype.BYTES, shape, join_bytes((bytes(part.data),))), has_batch(spec)
    return tensor_from_value(spec, decode_json(part.data, _ANY, max_depth=limits.json_depth), field)


def _unwrapped(row: dict[str, Any], call: _Call) -> Any:
    if len(row) == 1:
        ((name, value),) = row.items()
        if name in _WRAPPERS and name not in call.specs:
            return value
    return row


def _is_json(part: Part) -> bool:
    if part.content_type == "application/json":
        return True
    # Neither curl -T nor gRPC says what it sends, and no picture begins like this.
    untyped = part.content_type in ("", "application/octet-stream")
    return untyped and bytes(part.data[:64]).lstrip()[:1] in (b"{", b"[")


def _is_oip(document: Any) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        return False
    return all(
        isinstance(entry, dict) and {"name", "shape", "datatype"} <= entry.keys() for entry in document["inputs"]
    )
