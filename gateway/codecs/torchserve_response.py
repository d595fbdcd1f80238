"""Answers as TorchServe's default handlers give them: rows, or probability by label."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.codecs import oip_http
from gateway.codecs.torchserve_json import nested_value
from gateway.codecs.torchserve_parts import is_content_type
from gateway.codecs.torchserve_request import CONTENT_TYPE, AnswerForm
from gateway.core.catalog import ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError
from gateway.core.messages import InferResponse
from gateway.core.tensors import Tensor, split_bytes

JSON = "application/json"
_BINARY = "application/octet-stream"


def encode_answer(response: InferResponse, form: AnswerForm, model: ServedModel) -> tuple[bytes, str, int | None]:
    """The body for ``response``, its content type (empty: none), and the length of an OIP body's JSON header.

    Raises:
        Unsupported: an output has no JSON form.
    """
    if form.whole:
        return (*_whole(response), None)
    if form.oip is not None:
        body, length = oip_http.encode_response(response, form.oip)
        return body, JSON if length is None else _BINARY, length
    value = _value(response, form, model)
    body = orjson.dumps({"predictions": value} if form.predictions else value, option=orjson.OPT_SERIALIZE_NUMPY)
    return body, JSON, None


def _whole(response: InferResponse) -> tuple[bytes, str]:
    output = response.outputs[0]
    elements = split_bytes(output.data, output.name) if output.datatype is Datatype.BYTES else []
    if len(elements) != 1:
        raise BackendError(f"output {output.name!r}: one BYTES element is expected for a body")
    content_type = response.parameters.get(CONTENT_TYPE)
    # It came from a server that may say anything, and goes into a header of ours.
    return elements[0], str(content_type) if is_content_type(content_type) else ""


def _value(response: InferResponse, form: AnswerForm, model: ServedModel) -> Any:
    if form.classes and model.classify is not None:
        classes = model.classify(response.outputs)
        return classes[0] if form.single else classes
    columns = {output.name: _nested(output, single=form.single) for output in response.outputs}
    if len(columns) == 1:
        (only,) = columns.values()
        return only
    if not form.predictions:
        return columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _nested(output: Tensor, *, single: bool) -> Any:
    nested = nested_value(output)
    return nested[0] if single and output.shape[:1] == (1,) else nested
