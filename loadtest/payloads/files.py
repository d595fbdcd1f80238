"""Payloads from files: arrays, JSON documents, pictures and texts.

========================  ==============================================================================
``.npy``                  the model's only input
``.npz``                  one array for each input, by name
``.json``                 an OIP document (its ``inputs``), TensorFlow Serving's ``instances`` or ``inputs``,
                          or a bare list for the model's only input
``.png``, ``.jpg``, …     where the model's manifest says how a picture becomes its input
``.txt``                  each line a payload, where the manifest says how a text becomes its inputs
a folder                  each file in it
========================  ==============================================================================

For a model that nothing describes (TorchServe by its URL) a file of any kind is the body of a request, as it is.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gateway.codecs import oip_http, tfs_rest
from gateway.codecs.json_document import decode_json
from gateway.codecs.tfs_model_spec import DEFAULT_SIGNATURE
from gateway.codecs.torchserve_parts import BODY
from gateway.codecs.torchserve_request import CONTENT_TYPE, takes_whole_bodies
from gateway.core.datatypes import Datatype
from gateway.core.errors import GatewayError
from gateway.core.limits import Limits
from gateway.core.messages import NO_PARAMETERS, Parameter, RequestContext
from gateway.core.tensors import Tensor, join_bytes
from loadtest.errors import PayloadError
from loadtest.payloads.making import Array, make_payload, tensors_for
from loadtest.payloads.workload import MeasuredModel, Payload
from model_store.errors import StoreError
from model_store.processing.processor import Processor

_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_ANY = msgspec.json.Decoder(Any)
_LIMITS = Limits()


class _Found(NamedTuple):
    """One payload of a file, not yet held against the model."""

    label: str
    tensors: list[Tensor]
    parameters: Mapping[str, Parameter] = NO_PARAMETERS


def file_payloads(path: Path, model: MeasuredModel, version: str, processor: Processor | None) -> list[Payload]:
    """The payloads in ``path``; ``processor`` makes inputs of pictures and texts, None for a model in no store.

    Raises:
        PayloadError: it cannot be read, or does not fit the model; names the file.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        if not files:
            raise PayloadError(f"{path} is a folder without files")
        return [payload for file in files for payload in file_payloads(file, model, version, processor)]
    read = _whole_body if takes_whole_bodies(model.signature) else _read
    payloads: list[Payload] = []
    for label, tensors, parameters in _named(path, lambda: read(path, model, processor)):
        payload = make_payload(model, version, tensors, str(path.with_name(label)), parameters)
        payloads.append(replace(payload, label=label))
    return payloads


def _named(path: Path, read: Callable[[], list[_Found]]) -> list[_Found]:
    """What ``read`` gives; what is wrong there is wrong with ``path``."""
    try:
        return read()
    except GatewayError as error:
        reason = error.message
    except OSError as error:
        reason = error.strerror or str(error)
    except (StoreError, PayloadError, UnicodeDecodeError) as error:
        reason = str(error)
    raise PayloadError(f"{path} cannot be read as a payload: {reason}")


def _read(path: Path, model: MeasuredModel, processor: Processor | None) -> list[_Found]:
    suffix = path.suffix.lower()
    if suffix in _READERS:
        return [_Found(path.name, _READERS[suffix](path, model))]
    if suffix in _PICTURES:
        arrays = _prepared(path, model, processor, "pictures").from_pictures([path])
        return [_Found(path.name, tensors_for(model, arrays))]
    if suffix == ".txt":
        encode = _prepared(path, model, processor, "texts").from_texts
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [
            _Found(f"{path.name} line {number}", tensors_for(model, encode([line])))
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        if not found:
            raise PayloadError("no line of text in it")
        return found
    raise PayloadError(
        f"{suffix or 'a name without an ending'} is no kind of payload; .npy, .npz, .json and pictures are"
    )


def _prepared(path: Path, model: MeasuredModel, processor: Processor | None, wanted: str) -> Processor:
    takes = processor.takes if processor is not None else "tensors"
    if processor is None or takes != wanted:
        raise PayloadError(f"model {model.name} takes {takes}, not {wanted} such as {path.suffix}")
    return processor


def _array(path: Path, model: MeasuredModel) -> list[Tensor]:
    loaded = _load(path)
    if not isinstance(loaded, np.ndarray):
        raise PayloadError("it holds several arrays; such a file must be called .npz")
    return tensors_for(model, {_only_input(model): loaded})


def _arrays(path: Path, model: MeasuredModel) -> list[Tensor]:
    loaded = _load(path)
    if isinstance(loaded, np.ndarray):
        raise PayloadError("it holds a single array; such a file must be called .npy")
    return tensors_for(model, loaded)


def _load(path: Path) -> Array | Mapping[str, Array]:
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except OSError:
        raise
    except Exception as error:  # numpy's reader raises whatever a damaged file makes it stumble over
        raise PayloadError(str(error) or type(error).__name__) from error


def _document(path: Path, model: MeasuredModel) -> list[Tensor]:
    body = path.read_bytes()
    document = decode_json(body, _ANY, max_depth=_LIMITS.json_depth)
    if _is_oip(document):
        request, _ = oip_http.decode_request(body, None, model.name, "", RequestContext("file"), _LIMITS)
        return list(request.inputs)
    if isinstance(document, list):
        _only_input(model)
        body = b'{"instances":' + body + b"}"
    parsed = tfs_rest.parse_predict_body(body, model.signature, _LIMITS)
    if parsed.signature not in ("", DEFAULT_SIGNATURE):
        raise PayloadError(f"signature_name {parsed.signature!r} cannot be measured; {DEFAULT_SIGNATURE!r} can")
    return list(tfs_rest.decode_inputs(parsed, model.signature, _LIMITS))


def _is_oip(document: Any) -> bool:
    inputs = document.get("inputs") if isinstance(document, dict) else None
    return isinstance(inputs, list) and all(isinstance(each, dict) and "datatype" in each for each in inputs)


def _whole_body(path: Path, _: MeasuredModel, __: Processor | None) -> list[_Found]:
    inputs = [Tensor(BODY, Datatype.BYTES, (1,), join_bytes((path.read_bytes(),)))]
    content_type = mimetypes.guess_type(path.name)[0]
    return [_Found(path.name, inputs, {CONTENT_TYPE: content_type} if content_type else NO_PARAMETERS)]


def _only_input(model: MeasuredModel) -> str:
    names = [spec.name for spec in model.signature.inputs]
    if len(names) != 1:
        raise PayloadError(f"model {model.name} takes the inputs {names}: name them, in a .npz or JSON document")
    return names[0]


_READERS: Mapping[str, Callable[[Path, MeasuredModel], list[Tensor]]] = {
    ".npy": _array,
    ".npz": _arrays,
    ".json": _document,
}
