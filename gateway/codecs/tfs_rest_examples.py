"""TensorFlow Serving's REST bodies of ``:classify`` and ``:regress``.

A feature is a value or a list of values of one kind: text or ``{"b64": "…"}``, whole numbers and booleans, or decimals.

Source: tensorflow/serving, util/json_tensor.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gateway.codecs.json_document import decode_json, encode_json
from gateway.codecs.tfs_json import bytes_from_json
from gateway.codecs.tfs_results import Classes
from gateway.core.errors import InvalidRequest
from gateway.core.limits import Limits
from gateway.core.tensors import Buffer
from gateway.protos.loader import message_class

_Input = message_class("tensorflow.serving.Input")
_INT64 = range(-(2**63), 2**63)
_FLOAT_MAX = float(np.finfo(np.float32).max)


class _ExamplesJSON(msgspec.Struct):
    examples: Any = msgspec.UNSET
    context: Any = msgspec.UNSET
    signature_name: str = ""


_EXAMPLES = msgspec.json.Decoder(_ExamplesJSON)


def decode_examples(body: Buffer, limits: Limits) -> tuple[str, Any]:
    """The signature that ``body`` names (empty: the default one), and its examples as an ``Input`` message.

    Raises:
        InvalidRequest: the body breaks the protocol; names the example and the feature.
    """
    document = decode_json(body, _EXAMPLES, max_depth=limits.json_depth)
    if document.examples is msgspec.UNSET:
        raise InvalidRequest("JSON: key 'examples' is expected and was not found")
    if not isinstance(document.examples, list):
        raise InvalidRequest("examples: Expecting 'examples' value to be an list/array")
    if not document.examples:
        raise InvalidRequest("examples: 'examples' value is an empty array")
    message = _Input()
    if document.context is msgspec.UNSET:
        listed = message.example_list
    else:
        listed = message.example_list_with_context
        _fill_example(listed.context, document.context, "context")
    for index, example in enumerate(document.examples):
        _fill_example(listed.examples.add(), example, f"examples[{index}]")
    return document.signature_name, message


def encode_classifications(classifications: Sequence[Classes]) -> bytes:
    """The answer to ``:classify``: for each example a list of [label, score]."""
    # As numpy's floats the scores are written with the few digits that FP32 needs.
    return encode_json({"results": [[(label, np.float32(score)) for label, score in row] for row in classifications]})


def encode_regressions(values: Sequence[float]) -> bytes:
    """The answer to ``:regress``: a value for each example."""
    return encode_json({"results": np.array(values, np.float32)})


def _fill_example(message: Any, example: Any, field: str) -> None:
    if not isinstance(example, dict):
        raise InvalidRequest(f"{field}: Example must be JSON object but got {type(example).__name__}")
    message.features.SetInParent()
    for name, content in example.items():
        feature = message.features.feature[name]
        for value in content if isinstance(content, list) else [content]:
            _add_value(feature, value, f"{field}[{name!r}]")


def _add_value(feature: Any, value: Any, field: str) -> None:
    if isinstance(value, str | dict):
        _list(feature, "bytes_list", field).append(bytes_from_json(value, field))
    elif isinstance(value, bool | int):
        if value not in _INT64:
            raise InvalidRequest(f"{field}: {value} is out of range for int64")
        _list(feature, "int64_list", field).append(int(value))
    elif isinstance(value, float):
        if _FLOAT_MAX < abs(value) < np.inf:
            raise InvalidRequest(f"{field}: {value} is out of range for FP32")
        _list(feature, "float_list", field).append(value)
    else:
        raise InvalidRequest(f"{field}: element with unexpected JSON type {type(value).__name__}")


def _list(feature: Any, kind: str, field: str) -> Any:
    """The values of ``feature``, all of which must be of one ``kind``."""
    known = feature.WhichOneof("kind")
    if known not in (None, kind):
        raise InvalidRequest(f"{field}: Unexpected element type in feature: expecting type: {known}")
    return getattr(feature, kind).value
