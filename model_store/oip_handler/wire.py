"""Open Inference Protocol v2 over HTTP: bodies to arrays and back.

A body is JSON, or a JSON header followed by the binary tensors in the order of the inputs; both kinds may mix.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Header = Mapping[str, Any]

LENGTH_HEADER = "Inference-Header-Content-Length"
FRAME = struct.Struct("<I")  # the same number in front of an answer that has no headers

# BF16 has no numpy type: it travels as its bit patterns. torch has no strings, so BYTES is not carried.
DTYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "BF16": "<u2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
# What may fill a tensor from JSON, by the kind of its numpy type: kinds of arrays, and types of single elements.
JSON_KINDS = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}
JSON_TYPES: dict[str, tuple[type, ...]] = {"b": (bool,), "u": (int,), "i": (int,), "f": (int, float)}


class BadRequest(Exception):
    """This one request is wrong; the message names the field."""


@dataclass(frozen=True)
class Spec:
    """Name, datatype and shape of one input or output; ``-1`` is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """One parsed request: inputs by name, and the wanted outputs as (name, binary?)."""

    id: str
    inputs: dict[str, Array]
    outputs: list[tuple[str, bool]]


def parse_request(body: Any, header_length: str | None, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> Request:
    """The request in ``body``, checked against the model's ``inputs`` and ``outputs``.

    Args:
        body: bytes, or the dict that TorchServe makes of a body of type application/json.
        header_length: value of the header Inference-Header-Content-Length; None when all of the body is JSON.
        inputs: what the model takes.
        outputs: what the model gives.

    Raises:
        BadRequest: the message names the field.
    """
    header, tail = _split_body(body, header_length)
    entries = header.get("inputs")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadRequest("inputs: a list of objects is expected")
    specs = {spec.name: spec for spec in inputs}
    arrays: dict[str, Array] = {}
    for entry in entries:
        spec = specs.get(str(entry.get("name")))
        if spec is None:
            raise BadRequest(f"inputs: unknown input {entry.get('name')!r}; the model takes {[*specs]}")
        if spec.name in arrays:
            raise BadRequest(f"inputs: duplicate name {spec.name!r}")
        arrays[spec.name], tail = _parse_tensor(entry, spec, tail)
    missing = [name for name in specs if name not in arrays]
    if missing:
        raise BadRequest(f"inputs: {missing} missing; the model takes {[*specs]}")
    if len(tail):
        raise BadRequest(f"body: {len(tail)} bytes are left after the last binary tensor")
    if batched(inputs) and len({array.shape[0] for array in arrays.values()}) > 1:
        raise BadRequest("inputs: batch sizes differ")
    request_id = header.get("id", "")
    return Request(request_id if isinstance(request_id, str) else "", arrays, _parse_outputs(header, outputs))


def compose_response(
    request: Request, results: Mapping[str, Array], outputs: Sequence[Spec], model: str, version: str
) -> tuple[bytes, int | None]:
    """The response's body, and the length of its JSON header when binary tensors follow it.

    Raises:
        BadRequest: an output cannot be written as JSON.
    """
    datatypes = {spec.name: spec.datatype for spec in outputs}
    entries: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, binary in request.outputs:
        array, datatype = results[name], datatypes[name]
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if binary:
            blobs.append(array.astype(DTYPES[datatype], order="C", copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = _json_data(array, name, datatype)
        entries.append(entry)
    response: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": entries}
    if request.id:
        response["id"] = request.id
    header = json.dumps(response, separators=(",", ":")).encode()
    return b"".join([header, *blobs]), len(header) if blobs else None


def _split_body(body: Any, header_length: str | None) -> tuple[Header, memoryview]:
    if isinstance(body, dict):
        return body, memoryview(b"")
    raw = memoryview(body.encode() if isinstance(body, str) else body or b"")
    end = len(raw)
    if header_length is not None:
        end = int(header_length) if header_length.isdecimal() else -1
        if not 0 < end <= len(raw):
            raise BadRequest(f"{LENGTH_HEADER}: {header_length!r} does not fit a body of {len(raw)} bytes")
    try:
        header = json.loads(bytes(raw[:end]))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"body: invalid JSON ({error})") from None
    if not isinstance(header, dict):
        raise BadRequest("body: a JSON object is expected")
    return header, raw[end:]


def _parse_tensor(entry: Header, spec: Spec, tail: memoryview) -> tuple[Array, memoryview]:
    field = f"inputs[{spec.name!r}]"
    if entry.get("datatype") != spec.datatype:
        raise BadRequest(f"{field}: datatype {entry.get('datatype')!r} does not match the model's {spec.datatype}")
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise BadRequest(f"{field}: shape must be a list of sizes")
    if len(shape) != len(spec.shape) or any(want not in (-1, size) for want, size in zip(spec.shape, shape)):  # noqa: B905
        raise BadRequest(f"{field}: shape {shape} does not match the model's {list(spec.shape)}")
    size = _parameters(entry, field).get("binary_data_size")
    if size is None:
        return _from_json(entry.get("data"), spec.datatype, shape, field), tail
    dtype = np.dtype(DTYPES[spec.datatype])
    if type(size) is not int or size != math.prod(shape) * dtype.itemsize:
        raise BadRequest(
            f"{field}: binary_data_size {size!r} is not the {math.prod(shape) * dtype.itemsize} bytes of shape {shape}"
        )
    if size > len(tail):
        raise BadRequest(f"{field}: the body ends {size - len(tail)} bytes too early")
    return np.frombuffer(tail[:size], dtype).reshape(shape), tail[size:]


def _from_json(data: Any, datatype: str, shape: list[int], field: str) -> Array:
    if datatype in ("FP16", "BF16"):
        raise BadRequest(f"{field}: {datatype} has no JSON form; use the binary form")
    if not isinstance(data, list):
        raise BadRequest(f"{field}: data must be a list")
    dtype = np.dtype(DTYPES[datatype])
    array = _numbers(data, dtype.kind, f"{field}: data does not hold a regular array of {datatype} values")
    if array.shape not in (tuple(shape), (math.prod(shape),)):
        raise BadRequest(f"{field}: data of shape {list(array.shape)} does not match shape {shape}")
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise BadRequest(f"{field}: data holds values out of the range of {datatype}")
    try:
        with np.errstate(over="raise"):
            return array.astype(dtype).reshape(shape)
    except (OverflowError, FloatingPointError):
        raise BadRequest(f"{field}: data holds values out of the range of {datatype}") from None


def _numbers(data: list[Any], kind: str, refusal: str) -> Array:
    try:
        array: Array = np.array(data)
        if array.dtype.kind in JSON_KINDS[kind] or not array.size:
            return array
        # Integers past int64 make numpy guess float64 or object: then every element is looked at.
        array = np.array(data, dtype=object)
    except ValueError:
        raise BadRequest(refusal) from None
    if not all(type(value) in JSON_TYPES[kind] for value in array.flat):
        raise BadRequest(refusal)
    return array


def _json_data(array: Array, name: str, datatype: str) -> list[Any]:
    if datatype in ("FP16", "BF16"):
        raise BadRequest(f"outputs[{name!r}]: {datatype} has no JSON form; ask for binary output")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(f"outputs[{name!r}]: NaN or Infinity has no JSON form; ask for binary output")
    return array.ravel().tolist()


def _parse_outputs(header: Header, outputs: Sequence[Spec]) -> list[tuple[str, bool]]:
    binary = bool(_parameters(header, "request").get("binary_data_output", False))
    entries = header.get("outputs") or [{"name": spec.name} for spec in outputs]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadRequest("outputs: a list of objects is expected")
    known = [spec.name for spec in outputs]
    for entry in entries:
        if entry.get("name") not in known:
            raise BadRequest(f"outputs: unknown output {entry.get('name')!r}; the model gives {known}")
    if len({entry["name"] for entry in entries}) != len(entries):
        raise BadRequest("outputs: duplicate name")
    return [(entry["name"], bool(_parameters(entry, "outputs").get("binary_data", binary))) for entry in entries]


def _parameters(owner: Header, field: str) -> Header:
    parameters = owner.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadRequest(f"{field}: parameters must be an object")
    return parameters


def batched(specs: Sequence[Spec]) -> bool:
    """Whether every first dimension is a free batch dimension."""
    return all(spec.shape[:1] == (-1,) for spec in specs)
