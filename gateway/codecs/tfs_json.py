"""TensorFlow Serving's JSON form of a tensor, in both directions.

Nested lists whose shape is the tensor's. The types come from the signature, as JSON has none: ``1.0`` is no integer.
Bytes are text, or ``{"b64": "…"}``. NaN and the infinities are bare tokens. FP16, BF16 and UINT16 have no form.

Source: tensorflow/serving, util/json_tensor.cc.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import numpy as np

from gateway.codecs.json_data import elements_from_json
from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.signatures import TensorSpec
from gateway.core.tensors import Tensor, join_bytes, split_bytes

NO_JSON_FORM = dict.fromkeys(
    (Datatype.FP16, Datatype.BF16, Datatype.UINT16), "it has no JSON form in TensorFlow Serving; use gRPC"
)
_BYTES_SUFFIX = "_bytes"


def tensor_from_json(spec: TensorSpec, data: Any, field: str) -> Tensor:
    """The tensor for ``spec`` whose JSON form is ``data``.

    Raises:
        InvalidRequest: wrong types, values out of range or ragged lists; the message names ``field``.
        Unsupported: the datatype has no JSON form.
    """
    if spec.datatype in NO_JSON_FORM:
        raise Unsupported(f"{field}: {spec.datatype}: {NO_JSON_FORM[spec.datatype]}")
    if spec.datatype is Datatype.BYTES:
        elements: list[bytes] = []
        shape = _flatten_bytes(data, elements, field)
        return Tensor(spec.name, spec.datatype, shape, join_bytes(elements))
    if not isinstance(data, list | tuple):
        return Tensor(spec.name, spec.datatype, (), elements_from_json([data], spec.datatype, field)[1])
    return Tensor(spec.name, spec.datatype, *elements_from_json(data, spec.datatype, field))


def tensor_to_json(tensor: Tensor, not_text: Callable[[bytes], Any]) -> Any:
    """What ``dump`` writes as the JSON form of ``tensor``: bytes under a name that ends in ``_bytes`` as Base64.

    ``not_text`` is asked for the form of an element that is not UTF-8 under any other name.

    Raises:
        Unsupported: the datatype has no JSON form.
    """
    if tensor.datatype in NO_JSON_FORM:
        raise Unsupported(f"{tensor.name!r} is {tensor.datatype}: {NO_JSON_FORM[tensor.datatype]}")
    if tensor.datatype is not Datatype.BYTES:
        array = tensor.to_numpy()
        # Elements in a binary body start wherever its header ended, and a scalar is no array to the encoder.
        return np.require(array, requirements="A") if tensor.shape else array[()]
    encode = to_base64 if tensor.name.endswith(_BYTES_SUFFIX) else lambda element: _to_text(element, not_text)
    elements = split_bytes(tensor.data, tensor.name)
    encoded = np.empty(len(elements), dtype=object)
    for index, element in enumerate(elements):
        encoded[index] = encode(element)
    return encoded.reshape(tensor.shape).tolist()


def is_base64(data: Any) -> bool:
    """Whether ``data`` is the JSON form of bytes: an object whose only key is ``b64``."""
    return isinstance(data, dict) and data.keys() == {"b64"}


def to_base64(element: bytes) -> dict[str, str]:
    """The JSON form of bytes."""
    return {"b64": base64.b64encode(element).decode()}


def bytes_from_json(data: Any, field: str) -> bytes:
    """The bytes whose JSON form is ``data``: a string or ``{"b64": "…"}``.

    Raises:
        InvalidRequest: it is neither, or no valid Base64.
    """
    if isinstance(data, str):
        try:
            return data.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"{field}: half a surrogate pair is no text") from None
    if not isinstance(data, dict):
        raise InvalidRequest(f"{field}: a string is expected, got {type(data).__name__}")
    if not is_base64(data) or not isinstance(data["b64"], str):
        raise InvalidRequest(f'{field}: {{"b64": "…"}} must be the only key of its object')
    text = "".join(data["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{field}.b64: {error}") from None


def _flatten_bytes(data: Any, elements: list[bytes], field: str) -> tuple[int, ...]:
    """Append the elements under ``data``, depth first; returns its shape."""
    if not isinstance(data, list):
        elements.append(bytes_from_json(data, field))
        return ()
    shapes = {_flatten_bytes(item, elements, field) for item in data}
    if len(shapes) > 1:
        raise InvalidRequest(f"{field}: rows differ in length")
    return (len(data), *(shapes.pop() if shapes else ()))


def _to_text(element: bytes, not_text: Callable[[bytes], Any]) -> Any:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return not_text(element)
