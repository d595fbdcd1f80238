"""JSON values as TorchServe's handlers take and give them ↔ tensors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.codecs.json_data import elements_from_json, tensor_to_json
from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.signatures import TensorSpec
from gateway.core.tensors import Tensor, join_bytes


def tensor_from_value(spec: TensorSpec, value: Any, field: str) -> tuple[Tensor, bool]:
    """The tensor of ``value``, and whether ``value`` was one sample that lacked the batch dimension.

    Raises:
        InvalidRequest: ragged, or an element that the datatype cannot hold.
    """
    if spec.datatype is Datatype.BYTES:
        elements: list[bytes] = []
        shape = _flatten_texts(value, elements, field)
        data = join_bytes(elements)
    elif isinstance(value, list):
        shape, data = elements_from_json(value, spec.datatype, field)
    else:
        shape, data = (), elements_from_json([value], spec.datatype, field)[1]
    single = has_batch(spec) and len(shape) == len(spec.shape) - 1
    return Tensor(spec.name, spec.datatype, (1, *shape) if single else shape, data), single


def nested_value(tensor: Tensor) -> Any:
    """The nested form of ``tensor``: an array, lists of str or a scalar, for orjson with numpy switched on.

    Raises:
        Unsupported: JSON cannot carry it.
    """
    flat = tensor_to_json(tensor)
    if not tensor.shape:
        return flat[0]
    if tensor.datatype is not Datatype.BYTES:
        return flat.reshape(tensor.shape)
    texts = np.empty(len(flat), dtype=object)
    texts[:] = flat
    return texts.reshape(tensor.shape).tolist()


def has_batch(spec: TensorSpec) -> bool:
    """Whether the first dimension is the batch."""
    return spec.shape[:1] == (-1,)


def columns_of(rows: list[Mapping[str, Any]], field: str) -> dict[str, list[Any]]:
    """Rows that name their inputs as one list for each input.

    Raises:
        InvalidRequest: they name different ones.
    """
    columns: dict[str, list[Any]] = {name: [] for name in rows[0]}
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != columns.keys():
            raise InvalidRequest(f"{field}[{index}]: the same inputs as in {field}[0] are expected")
        for name, value in row.items():
            columns[name].append(value)
    return columns


def is_base64(value: Any) -> bool:
    """Whether ``value`` is bytes that say so: ``{"b64": …}``."""
    return isinstance(value, dict) and value.keys() == {"b64"}


def texts_in(value: Any) -> list[Any] | None:
    """``value`` as a list of strings and ``{"b64": …}`` objects, when that is what it holds."""
    values = value if isinstance(value, list) else [value]
    return values if values and all(isinstance(each, str) or is_base64(each) for each in values) else None


def element_of(text: Any, field: str, *, base64_text: bool = False) -> bytes:
    """The bytes of a string or a ``{"b64": …}`` object; ``base64_text`` has strings be Base64 too.

    Raises:
        InvalidRequest: no valid Base64, or no text.
    """
    if isinstance(text, str) and not base64_text:
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"{field}: half a surrogate pair is no text") from None
    try:
        return base64.b64decode(text if isinstance(text, str) else text["b64"], validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidRequest(f"{field}: no valid Base64") from None


def _flatten_texts(value: Any, elements: list[bytes], field: str) -> tuple[int, ...]:
    """Append the elements under ``value``, depth first; returns its shape."""
    if isinstance(value, str) or is_base64(value):
        elements.append(element_of(value, field))
        return ()
    if not isinstance(value, list):
        raise InvalidRequest(f"{field}: a string is expected, got {type(value).__name__}")
    shapes = {_flatten_texts(item, elements, field) for item in value}
    if len(shapes) > 1:
        raise InvalidRequest(f"{field}: rows differ in length")
    return (len(value), *(shapes.pop() if shapes else ()))
