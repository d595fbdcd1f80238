"""TensorFlow Serving's REST bodies: ``:predict`` in row and columnar form, model status, model metadata.

Source: tensorflow/serving, g3doc/api_rest.md and util/json_tensor.cc.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from gateway.codecs.json_data import array_from_json
from gateway.codecs.json_document import decode_json
from gateway.codecs.tfs_grpc import DEFAULT_SIGNATURE
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Buffer, Tensor, join_bytes, split_bytes

_NO_JSON_FORM = (Datatype.FP16, Datatype.BF16, Datatype.UINT16)
_DT_NAMES = {
    Datatype.FP32: "DT_FLOAT",
    Datatype.FP64: "DT_DOUBLE",
    Datatype.BYTES: "DT_STRING",
    Datatype.FP16: "DT_HALF",
    Datatype.BF16: "DT_BFLOAT16",
}


class _PredictJSON(msgspec.Struct):
    instances: Any = msgspec.UNSET
    inputs: Any = msgspec.UNSET
    signature_name: str = DEFAULT_SIGNATURE


_PREDICT = msgspec.json.Decoder(_PredictJSON)


def decode_predict_request(
    body: Buffer, model: str, version: str, signature: Signature, context: RequestContext, limits: Limits
) -> tuple[InferRequest, bool]:
    """The request in ``body``, and whether it came in row form (``instances``).

    The types come from ``signature``, as JSON has none.

    Raises:
        InvalidRequest: the body breaks the protocol; names the field.
    """
    document = decode_json(body, _PREDICT, max_depth=limits.json_depth)
    rows = document.instances is not msgspec.UNSET
    if rows == (document.inputs is not msgspec.UNSET):
        raise InvalidRequest("JSON: exactly one of 'instances' and 'inputs' is expected")
    if document.signature_name not in ("", DEFAULT_SIGNATURE):
        raise InvalidRequest(f"signature_name: only {DEFAULT_SIGNATURE!r} is served")
    columns = _columns_of_rows(document.instances, signature) if rows else _columns(document.inputs, signature)
    field = "instances" if rows else "inputs"
    specs = {spec.name: spec for spec in signature.inputs}
    tensors = []
    for name, data in columns.items():
        spec = specs.get(name)
        if spec is None and len(columns) == 1 and _is_text(data):
            # The raw form of a model with preprocessing; where there is none, the signature's check refuses it.
            spec = TensorSpec(name, Datatype.BYTES, (-1,))
        if spec is None:
            raise InvalidRequest(f"{field}: unknown input {name!r}; the model takes {list(specs)}")
        tensors.append(_decode_tensor(spec, data, f"{field}[{name!r}]"))
    return InferRequest(model=model, version=version, inputs=tuple(tensors), context=context), rows


def encode_predict_response(response: InferResponse, *, rows: bool) -> bytes:
    """The body for ``response``: ``predictions`` in row form, else ``outputs``.

    Raises:
        Unsupported: an output's datatype has no JSON form here.
    """
    columns = {tensor.name: _encode_tensor(tensor) for tensor in response.outputs}
    if len(columns) == 1:
        (only,) = columns.values()
        return _dump({"predictions" if rows else "outputs": only})
    if not rows:
        return _dump({"outputs": columns})
    names = list(columns)
    return _dump({"predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]})


def encode_status(versions: list[tuple[str, bool]]) -> bytes:
    """The body of ``GET /v1/models/{model}`` for (version, available) pairs."""
    return _dump(
        {
            "model_version_status": [
                {
                    "version": version,
                    "state": "AVAILABLE" if available else "LOADING",
                    "status": {"error_code": "OK", "error_message": ""},
                }
                for version, available in versions
            ]
        }
    )


def encode_metadata(model: str, version: str, signature: Signature) -> bytes:
    """The body of ``GET /v1/models/{model}/metadata``."""
    definition = {
        "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return _dump(
        {
            "model_spec": {"name": model, "signature_name": "", "version": version},
            "metadata": {"signature_def": {"signature_def": {DEFAULT_SIGNATURE: definition}}},
        }
    )


def _columns_of_rows(instances: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise InvalidRequest("instances: a list of at least one instance is expected")
    if not isinstance(instances[0], dict) or set(instances[0]) == {"b64"}:
        return {_only_input(signature, "instances"): instances}
    columns: dict[str, list[Any]] = {name: [] for name in instances[0]}
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict) or instance.keys() != columns.keys():
            raise InvalidRequest(f"instances[{index}]: the same inputs as in instances[0] are expected")
        for name, value in instance.items():
            columns[name].append(value)
    return columns


def _columns(inputs: Any, signature: Signature) -> dict[str, Any]:
    if isinstance(inputs, dict) and set(inputs) != {"b64"}:
        return inputs
    return {_only_input(signature, "inputs"): inputs}


def _only_input(signature: Signature, field: str) -> str:
    if len(signature.inputs) != 1:
        raise InvalidRequest(f"{field}: the model takes {[spec.name for spec in signature.inputs]}: name them")
    return signature.inputs[0].name


def _decode_tensor(spec: TensorSpec, data: Any, field: str) -> Tensor:
    if spec.datatype in _NO_JSON_FORM:
        raise InvalidRequest(f"{field}: {spec.datatype} has no JSON form; use gRPC")
    if spec.datatype is Datatype.BYTES:
        elements: list[bytes] = []
        shape = _flatten_bytes(data, elements, field)
        return Tensor(spec.name, spec.datatype, shape, join_bytes(elements))
    if not isinstance(data, list):
        return _decode_scalar(spec, data, field)
    array = array_from_json(data, spec.datatype, field)
    return Tensor(spec.name, spec.datatype, array.shape, array.tobytes())


def _decode_scalar(spec: TensorSpec, data: Any, field: str) -> Tensor:
    array: npt.NDArray[np.generic] = array_from_json([data], spec.datatype, field)
    return Tensor(spec.name, spec.datatype, (), array.astype(NUMPY_DTYPE[spec.datatype]).tobytes())


def _is_text(data: Any) -> bool:
    while isinstance(data, list) and data:
        data = data[0]
    return isinstance(data, str) or (isinstance(data, dict) and set(data) == {"b64"})


def _flatten_bytes(data: Any, elements: list[bytes], field: str) -> tuple[int, ...]:
    """Append the elements under ``data``, depth first; returns its shape."""
    if isinstance(data, str):
        elements.append(data.encode())
        return ()
    if isinstance(data, dict):
        if set(data) != {"b64"} or not isinstance(data["b64"], str):
            raise InvalidRequest(f'{field}: {{"b64": "…"}} must be the only key of its object')
        try:
            elements.append(base64.b64decode(data["b64"], validate=True))
        except binascii.Error as error:
            raise InvalidRequest(f"{field}.b64: {error}") from None
        return ()
    if not isinstance(data, list):
        raise InvalidRequest(f"{field}: a string is expected, got {type(data).__name__}")
    shapes = {_flatten_bytes(item, elements, field) for item in data}
    if len(shapes) > 1:
        raise InvalidRequest(f"{field}: rows differ in length")
    return (len(data), *(shapes.pop() if shapes else ()))


def _encode_tensor(tensor: Tensor) -> Any:
    if tensor.datatype in _NO_JSON_FORM:
        raise Unsupported(f"output {tensor.name!r}: {tensor.datatype} has no JSON form; use gRPC")
    if tensor.datatype is not Datatype.BYTES:
        return tensor.to_numpy()
    encoded = np.empty(len(elements := split_bytes(tensor.data, tensor.name)), dtype=object)
    as_base64 = tensor.name.endswith("_bytes")
    for index, element in enumerate(elements):
        encoded[index] = (
            {"b64": base64.b64encode(element).decode()} if as_base64 else element.decode("utf-8", "replace")
        )
    return encoded.reshape(tensor.shape).tolist()


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in spec.shape]
    name = _DT_NAMES.get(spec.datatype, f"DT_{spec.datatype}")
    return {"dtype": name, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": f"{spec.name}:0"}


def _dump(document: dict[str, Any]) -> bytes:
    encoded = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # orjson writes null for NaN and Infinity; TensorFlow Serving writes the bare tokens, as the standard library does.
    return json.dumps(document, default=lambda value: value.tolist()).encode() if b"null" in encoded else encoded
