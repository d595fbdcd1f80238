"""``gateway infer``: one inference from a picture, a text, arrays or JSON, and its answer for people or programs."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.client import Answer, ClientError, get_json, infer
from gateway.codecs.oip_http import decode_request
from gateway.core.datatypes import NUMPY_DTYPE
from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.signatures import Signature
from gateway.core.tensors import Tensor
from model_store.processing.processor import Processor
from model_store.processing.scores import Class
from model_store.store import StoredModel

Array = npt.NDArray[Any]


@dataclass(slots=True, frozen=True)
class Source:
    """Where the inputs come from; exactly one is set."""

    image: Path | None = None
    text: str | None = None
    npy: Path | None = None
    json: Path | None = None


def build_request(model: StoredModel, source: Source) -> InferRequest:
    """The request for the model's inputs in ``source``.

    Raises:
        StoreError: the picture or the text cannot be used, or the model does not take such.
        ClientError: the file cannot be read, or does not fit the model; names the field.
    """
    signature = model.manifest.model_signature()
    try:
        if source.json is not None:
            return _request_from_json(model.manifest.name, source.json, signature)
        arrays = _read_arrays(model, signature, source)
        tensors = tuple(Tensor.from_numpy(name, array) for name, array in arrays.items())
        request = InferRequest(model.manifest.name, tensors, RequestContext("cli"))
        signature.check_inputs(request.inputs)
    except OSError as error:
        raise ClientError(f"{error.filename}: {error.strerror}") from None
    except (InvalidRequest, Unsupported) as error:
        raise ClientError(error.message) from None
    return request


def run(
    request: InferRequest,
    backends: Sequence[str],
    protocol: Literal["http", "grpc"],
    address: str,
    timeout: float,
) -> list[Answer]:
    """Ask each of ``backends`` in turn (an empty name leaves the choice to the gateway).

    Raises:
        ClientError: no gateway there, or an answer was an error; names the backend.
    """

    async def ask_all() -> list[Answer]:
        return [await infer(protocol, address, request, backend, timeout=timeout) for backend in backends]

    return asyncio.run(ask_all())


def backends_of(admin: str, model: str) -> list[str]:
    """Names of the backends that serve ``model``, from the gateway's admin port."""
    known: Mapping[str, Any] = asyncio.run(get_json(admin, "/backends"))
    return [name for name, backend in known.items() if model in backend["models"]]


def to_document(answers: Sequence[Answer], model: StoredModel) -> dict[str, Any]:
    """The answers as a JSON document."""
    return {
        "model": model.manifest.name,
        "answers": [
            {
                "backend": answer.served_by,
                "timing_ms": answer.timing,
                "top": [asdict(found) for found in top_classes(answer, model)],
                "outputs": {
                    tensor.name: {"shape": tensor.shape, "data": tensor.to_numpy().ravel().tolist()}
                    for tensor in answer.response.outputs
                },
            }
            for answer in answers
        ],
        "max_abs_difference": largest_difference(answers),
    }


def print_answers(console: Console, answers: Sequence[Answer], model: StoredModel) -> None:
    """Print the answers side by side, with the time's split and the largest difference between them."""
    columns = [top_classes(answer, model) for answer in answers]
    if not any(columns):
        for answer in answers:
            _print_outputs(console, answer)
    else:
        _print_top(console, answers, columns)
    for answer in answers:
        split = ", ".join(f"{name} {milliseconds:.2f} ms" for name, milliseconds in answer.timing.items())
        console.print(f"[bold]{answer.served_by}[/bold]: {split}", highlight=False)
    difference = largest_difference(answers)
    if difference is not None:
        console.print(f"largest difference between them: {difference:.2e}", highlight=False)


def top_classes(answer: Answer, model: StoredModel) -> list[Class]:
    """The most probable classes of the first sample; empty for a model that is no classifier."""
    outputs = {tensor.name: tensor.to_numpy() for tensor in answer.response.outputs}
    rows = Processor(model.directory, model.manifest).top_classes(outputs)
    return rows[0] if rows else []


def largest_difference(answers: Sequence[Answer]) -> float | None:
    """Largest absolute difference between any two answers, over all numeric outputs; None for a single answer."""
    if len(answers) < 2:
        return None
    largest = 0.0
    for tensor in answers[0].response.outputs:
        if tensor.datatype not in NUMPY_DTYPE:
            continue
        arrays = [
            other.to_numpy().astype(np.float64)
            for answer in answers
            for other in answer.response.outputs
            if other.name == tensor.name
        ]
        largest = max(largest, float(np.max(np.ptp(np.stack(arrays), axis=0), initial=0.0)))
    return largest


def _read_arrays(model: StoredModel, signature: Signature, source: Source) -> Mapping[str, Array]:
    processor = Processor(model.directory, model.manifest)
    if source.image is not None:
        return processor.from_pictures([source.image])
    if source.text is not None:
        return processor.from_texts([source.text])
    if source.npy is None:
        raise ClientError("one of --image, --text, --npy and --json is needed")
    try:
        loaded = np.load(source.npy, allow_pickle=False)
        arrays: Mapping[str, Array] = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ClientError(f"{source.npy} is no .npy or .npz file that can be read ({error})") from None
    if "" in arrays:
        if len(signature.inputs) != 1:
            names = [spec.name for spec in signature.inputs]
            raise ClientError(f"model {model.manifest.name!r} takes the inputs {names}: give them as an .npz or JSON")
        arrays = {signature.inputs[0].name: arrays[""]}
    return {name: _with_batch(array, signature, name) for name, array in arrays.items()}


def _with_batch(array: Array, signature: Signature, name: str) -> Array:
    # A single sample without its batch dimension is what people have on disk.
    ranks = {spec.name: len(spec.shape) for spec in signature.inputs}
    return array[None] if signature.batched and array.ndim + 1 == ranks.get(name) else array


def _request_from_json(model: str, path: Path, signature: Signature) -> InferRequest:
    """An OIP request body, or just a nested list for a model with one input."""
    raw = path.read_bytes()
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClientError(f"{path}: not valid JSON: {error}") from None
    if isinstance(document, list):
        if len(signature.inputs) != 1:
            raise ClientError(f"{path}: a bare list fits a model with one input; give an OIP request body")
        spec = signature.inputs[0]
        shape = _shape(document)
        inputs = [{"name": spec.name, "datatype": spec.datatype, "shape": shape, "data": document}]
        raw = json.dumps({"inputs": inputs}).encode()
    request, _ = decode_request(raw, None, model, "", RequestContext("cli"), Limits())
    signature.check_inputs(request.inputs)
    return request


def _shape(data: Any) -> list[int]:
    shape = []
    while isinstance(data, list):
        shape.append(len(data))
        data = data[0] if data else None
    return shape


def _print_top(console: Console, answers: Sequence[Answer], columns: Sequence[list[Class]]) -> None:
    table = Table("class", "label")
    for answer in answers:
        table.add_column(answer.served_by, justify="right")
    by_backend = [{found.index: found.probability for found in column} for column in columns]
    for row in columns[0]:
        shown = [f"{found[row.index]:.4f}" if row.index in found else "-" for found in by_backend]
        table.add_row(str(row.index), escape(row.label), *shown)
    console.print(table)


def _print_outputs(console: Console, answer: Answer) -> None:
    for tensor in answer.response.outputs:
        console.print(f"{tensor.name} {tensor.datatype} {list(tensor.shape)}", highlight=False)
        console.print(np.array2string(tensor.to_numpy(), threshold=20, precision=4), highlight=False)
