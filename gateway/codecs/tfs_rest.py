"""TensorFlow Serving's REST bodies of ``:predict``, in row (``instances``) and columnar (``inputs``) form.

Source: tensorflow/serving, g3doc/api_rest.md and util/json_tensor.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from gateway.codecs.json_document import decode_json, encode_json
from gateway.codecs.tfs_json import is_base64, tensor_from_json, tensor_to_json
from gateway.codecs.tfs_rest_numbers import decoder_for
from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Buffer, Tensor, element_count

_RAW = "raw"  # any name will do that is none of the model's inputs


@dataclass(slots=True, frozen=True)
class PredictBody:
    """A parsed body; what its ``data`` means depends on the signature that it names (empty: the default one).

    ``rows``: it came in row form, and so must the answer.
    """

    signature: str
    rows: bool
    data: Any

    @property
    def field(self) -> str:
        """What the data is called in the body."""
        return "instances" if self.rows else "inputs"


def parse_predict_body(body: Buffer, expected: Signature, limits: Limits) -> PredictBody:
    """The request in ``body``.

    ``expected`` is the signature for which its numbers are read: parse it anew when it turns out to name another one.

    Raises:
        InvalidRequest: the body breaks the protocol; names the field.
    """
    document = decode_json(body, decoder_for(expected), max_depth=limits.json_depth)
    rows = document.instances is not msgspec.UNSET
    if rows and document.inputs is not msgspec.UNSET:
        raise InvalidRequest("JSON: exactly one of 'instances' and 'inputs' is expected, got both")
    if not rows and document.inputs is msgspec.UNSET:
        raise InvalidRequest("JSON: Missing 'inputs' or 'instances' key: exactly one of them is expected")
    return PredictBody(document.signature_name, rows, document.instances if rows else document.inputs)


def decode_inputs(
    body: PredictBody, signature: Signature, limits: Limits, *, prepares: bool = False
) -> tuple[Tensor, ...]:
    """The inputs in ``body``; their types come from ``signature``, as JSON has none.

    Text or bytes under one name that the model does not have are handed on under it, in its own preprocessing's form;
    so are those without a name when the model ``prepares`` its inputs of pictures or texts.

    Raises:
        InvalidRequest: an input is missing, or data does not fit its type; names the field.
        Unsupported: an input has no JSON form.
        PayloadTooLarge: over one of ``limits``.
    """
    specs = {spec.name: spec for spec in signature.inputs}

    def name_of(data: Any) -> str:
        """The input that data without a name is for."""
        if prepares and _is_text(data) and Datatype.BYTES not in {spec.datatype for spec in signature.inputs}:
            return _RAW
        if len(specs) != 1:
            raise InvalidRequest(f"{body.field}: the model takes {list(specs)}: name them")
        return next(iter(specs))

    columns = _columns_of_rows(body.data, name_of) if body.rows else _columns(body.data, list(specs), name_of)
    if len(columns) > limits.tensors:
        raise PayloadTooLarge(f"{body.field}: {len(columns)} tensors are over the limit of {limits.tensors}")
    tensors = []
    for name, data in columns.items():
        spec = specs.get(name)
        if spec is None and len(columns) == 1 and _is_text(data):
            # The raw form of a model with preprocessing; where there is none, the signature's check refuses it.
            spec = TensorSpec(name, Datatype.BYTES, (-1,))
        if spec is None:
            raise InvalidRequest(f"{body.field}: unknown input {name!r}; the model takes {list(specs)}")
        tensor = tensor_from_json(spec, data, f"{body.field}[{name!r}]")
        if element_count(tensor.shape) > limits.elements:
            raise PayloadTooLarge(f"{body.field}[{name!r}]: over the limit of {limits.elements} elements")
        tensors.append(tensor)
    return tuple(tensors)


def encode_predict_response(response: InferResponse, *, rows: bool) -> bytes:
    """The body for ``response``: ``predictions`` in row form, else ``outputs``.

    Raises:
        InvalidRequest: the outputs cannot be cut into rows; the columnar form carries them.
        Unsupported: an output has no JSON form.
    """
    columns = {tensor.name: _encode_output(tensor) for tensor in response.outputs}
    if rows:
        _check_rows(response)
    if len(columns) == 1:
        (only,) = columns.values()
        return encode_json({"predictions" if rows else "outputs": only})
    if not rows:
        return encode_json({"outputs": columns})
    names = list(columns)
    return encode_json(
        {"predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]}
    )


def _columns_of_rows(instances: Any, name_of: Callable[[Any], str]) -> dict[str, Any]:
    if not isinstance(instances, list | tuple):
        raise InvalidRequest("instances: Expecting 'instances' to be an list/array of at least one instance")
    if not instances:
        raise InvalidRequest("instances: No values in 'instances' array: at least one instance is expected")
    if not isinstance(instances[0], dict) or is_base64(instances[0]):
        return {name_of(instances): instances}
    columns: dict[str, list[Any]] = {name: [] for name in instances[0]}
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict) or instance.keys() != columns.keys():
            raise InvalidRequest(f"instances[{index}]: the same inputs as in instances[0] are expected")
        for name, value in instance.items():
            columns[name].append(value)
    return columns


def _columns(inputs: Any, names: list[str], name_of: Callable[[Any], str]) -> dict[str, Any]:
    if not isinstance(inputs, dict) or is_base64(inputs):
        return {name_of(inputs): inputs}
    if len(inputs) > len(names) and inputs.keys() >= set(names) and names:
        return {name: inputs[name] for name in names}  # keys beside the inputs are not looked at
    return inputs


def _is_text(data: Any) -> bool:
    while isinstance(data, list) and data:
        data = data[0]
    return isinstance(data, str) or is_base64(data)


def _encode_output(tensor: Tensor) -> Any:
    def refuse(_: bytes) -> NoReturn:
        raise Unsupported(
            f"output {tensor.name!r}: an element is not valid UTF-8, and only outputs whose names end in '_bytes' are "
            "written as Base64; use gRPC"
        )

    return tensor_to_json(tensor, refuse)


def _check_rows(response: InferResponse) -> None:
    sizes = {tensor.name: tensor.shape[0] if tensor.shape else None for tensor in response.outputs}
    for name, size in sizes.items():
        if size is None:
            raise InvalidRequest(f"instances: Tensor name: {name} has no shape information: it is no row; use 'inputs'")
    if len(set(sizes.values())) > 1:
        raise InvalidRequest(f"instances: outputs have inconsistent batch sizes {sizes}; use 'inputs'")
