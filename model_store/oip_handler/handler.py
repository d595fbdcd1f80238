"""Requests that TorchServe hands over together run as one batch and are answered one by one.

A bad request gets its own 400 and does not disturb its neighbours. gRPC has no headers: there a part beside the body
holds the length of its JSON header, and the answer begins with its own (4 bytes, little-endian).

Environment of the worker:
``GATEWAY_ENGINE_THREADS`` (CPU threads of one inference) and ``GATEWAY_ENGINE_DEVICE`` (``cpu``, ``cuda:N``, ``auto``).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .device import AUTO
from .runtime import Array, Runtime, open_runtime
from .wire import FRAME, LENGTH_HEADER, BadRequest, Request, Spec, batched, compose_response, parse_request

SIGNATURE = "signature.json"  # the manifest's signature, as a file of its own in the archive
SETTINGS = "settings.json"  # how to run the model, as the build's calibration chose it

logger = logging.getLogger(__name__)


class OipHandler:
    """One loaded model and its signature."""

    def __init__(self, runtime: Runtime, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> None:
        self._runtime = runtime
        self._inputs = inputs
        self._outputs = outputs

    @classmethod
    def load(cls, context: Any) -> OipHandler:
        """Load what lies beside this package in the archive."""
        directory = Path(context.system_properties["model_dir"])
        signature = json.loads((directory / SIGNATURE).read_text(encoding="utf-8"))
        inputs, outputs = (
            [Spec(entry["name"], entry["datatype"], tuple(entry["shape"])) for entry in signature[side]]
            for side in ("inputs", "outputs")
        )
        settings = directory / SETTINGS
        runtime = open_runtime(
            directory,
            inputs,
            outputs,
            settings=json.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {},
            device=os.environ.get("GATEWAY_ENGINE_DEVICE", AUTO),
            threads=int(os.environ.get("GATEWAY_ENGINE_THREADS") or 0),
            gpu=context.system_properties.get("gpu_id") or 0,
        )
        return cls(runtime, inputs, outputs)

    def answer(self, bodies: Sequence[Any], context: Any, lengths: Sequence[Any] = ()) -> list[bytes]:
        """One answer a request, in order; what is wrong with one request stays with that one.

        ``lengths`` hold what came as the length of the JSON header in a part of its own; None where none did.
        """
        beside = [*lengths] or [None] * len(bodies)
        requests: dict[int, Request] = {}
        answers: dict[int, bytes] = {}
        for index, body in enumerate(bodies):
            try:
                length = _text(beside[index]) or _request_header(context, index, LENGTH_HEADER)
                requests[index] = parse_request(body, length, self._inputs, self._outputs)
            except BadRequest as error:
                answers[index] = _refuse(context, index, 400, str(error))
        for indices in self._groups(requests):
            try:
                results = self._run([requests[index] for index in indices])
            except Exception:
                logger.exception("inference failed")
                answers |= {index: _refuse(context, index, 500, "inference failed") for index in indices}
                continue
            for index, result in zip(indices, results, strict=True):
                answers[index] = self._respond(
                    requests[index], result, context, index, framed=beside[index] is not None
                )
        return [answers[index] for index in range(len(bodies))]

    def _groups(self, requests: Mapping[int, Request]) -> list[list[int]]:
        """Requests that can run together: those whose inputs differ in the batch dimension alone."""
        if not batched([*self._inputs, *self._outputs]):
            return [[index] for index in requests]
        groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for index, request in requests.items():
            groups.setdefault(tuple(request.inputs[spec.name].shape[1:] for spec in self._inputs), []).append(index)
        return list(groups.values())

    def _run(self, requests: Sequence[Request]) -> list[dict[str, Array]]:
        columns = [[request.inputs[spec.name] for request in requests] for spec in self._inputs]
        arrays = [column[0] if len(column) == 1 else np.concatenate(column) for column in columns]
        results = self._runtime.run(arrays)
        names = [spec.name for spec in self._outputs]
        if len(requests) == 1:
            return [dict(zip(names, results, strict=True))]
        ends = np.cumsum([len(array) for array in columns[0]])[:-1]
        rows = [np.split(result, ends) for result in results]
        return [dict(zip(names, row, strict=True)) for row in zip(*rows, strict=True)]

    def _respond(
        self, request: Request, result: Mapping[str, Array], context: Any, index: int, *, framed: bool
    ) -> bytes:
        version = str(context.manifest["model"]["modelVersion"])
        try:
            body, header_length = compose_response(request, result, self._outputs, context.model_name, version)
        except BadRequest as error:
            return _refuse(context, index, 400, str(error))
        if framed:
            return FRAME.pack(len(body) if header_length is None else header_length) + body
        if header_length is None:
            context.set_response_content_type(index, "application/json")
        else:
            context.set_response_content_type(index, "application/octet-stream")
            context.set_response_header(index, LENGTH_HEADER, str(header_length))
        return body


def _request_header(context: Any, index: int, name: str) -> str | None:
    headers = context.get_all_request_header(index)  # as the client wrote them, in any case
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)


def _text(value: Any) -> str | None:
    return bytes(value).decode("latin-1") if isinstance(value, bytes | bytearray) else value


def _refuse(context: Any, index: int, status: int, message: str) -> bytes:
    context.set_response_status(status, "Bad Request" if status == 400 else "Internal Server Error", index)
    context.set_response_content_type(index, "application/json")
    return json.dumps({"error": message}).encode()


_handler: OipHandler | None = None


def handle(data: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes] | None:
    """TorchServe's entry point: called once with no data to load the model, then with each batch of requests."""
    global _handler  # noqa: PLW0603  TorchServe calls a function of this module and keeps no state for it
    if _handler is None:
        _handler = OipHandler.load(context)
    if data is None:
        return None
    bodies = [part.get("body", part.get("data")) for part in data]
    return _handler.answer(bodies, context, [part.get(LENGTH_HEADER) for part in data])
