"""TensorFlow Serving's REST ``:predict`` from the caller's side, in columnar form.

Every number keeps its bits, ``-0.0`` and denormals included, but for NaN, which has one token only. Bytes go
as text where they are text, else (and always under names that end in ``_bytes``) as Base64, which the server takes for
any input. Of an empty tensor the sizes after the first empty dimension have no form.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from gateway.codecs.json_document import decode_json, encode_json
from gateway.codecs.tfs_json import tensor_from_json, tensor_to_json, to_base64
from gateway.core.errors import BackendError, InvalidRequest, Unsupported
from gateway.core.messages import InferRequest
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Buffer, Tensor, element_count

_DOCUMENT = msgspec.json.Decoder(Any)
_DEPTH = 300  # a tensor has at most 254 dimensions


def model_path(model: str, version: str) -> str:
    """The path of a model, or of one version of it."""
    path = f"/v1/models/{quote(model, safe='')}"
    return f"{path}/versions/{version}" if version else path


def encode_predict_request(request: InferRequest) -> bytes:
    """The body for ``request``.

    Raises:
        Unsupported: an input has no JSON form.
    """
    inputs = {tensor.name: _encode(tensor) for tensor in request.inputs}
    return encode_json({"signature_name": request.signature, "inputs": inputs})


def decode_document(body: Buffer) -> Any:
    """The document in the ``body`` of an answer.

    Raises:
        BackendError: it is no JSON, as an answer is that holds bytes beyond UTF-8 under a name without ``_bytes``.
    """
    try:
        return decode_json(body, _DOCUMENT, max_depth=_DEPTH)
    except InvalidRequest as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error.message}") from None


def decode_outputs(document: Any, signature: Signature) -> tuple[Tensor, ...]:
    """The outputs in the ``document`` of an answer; their types come from ``signature``, as JSON has none.

    Raises:
        BackendError: it does not hold the signature's outputs.
        Unsupported: an output has no JSON form.
    """
    outputs = document.get("outputs") if isinstance(document, dict) else None
    if len(signature.outputs) == 1:
        outputs = {signature.outputs[0].name: outputs}  # a single output is unnamed
    if not isinstance(outputs, dict) or outputs.keys() != set(signature.output_names):
        raise BackendError("the backend's answer breaks the protocol: it does not hold the model's outputs")
    try:
        return tuple([_decode(spec, outputs[spec.name]) for spec in signature.outputs])
    except InvalidRequest as error:
        raise BackendError(f"the backend's answer breaks the protocol: {error.message}") from None


def _encode(tensor: Tensor) -> Any:
    empty = next((axis for axis, size in enumerate(tensor.shape) if size == 0), None)
    if empty is not None and empty + 1 < len(tensor.shape):
        raise Unsupported(
            f"inputs[{tensor.name!r}]: in JSON an empty tensor of shape {list(tensor.shape)} loses its last sizes"
        )
    return tensor_to_json(tensor, to_base64)


def _decode(spec: TensorSpec, data: Any) -> Tensor:
    tensor = tensor_from_json(spec, data, f"outputs[{spec.name!r}]")
    missing = spec.shape[len(tensor.shape) :]
    if not missing or element_count(tensor.shape) or not tensor.shape:
        return tensor
    if -1 in missing:
        raise BackendError(f"outputs[{spec.name!r}]: in JSON an empty tensor loses its last sizes")
    return Tensor(tensor.name, tensor.datatype, (*tensor.shape, *missing), tensor.data)
