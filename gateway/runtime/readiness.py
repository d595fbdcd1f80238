"""When a server is ready: once one real inference of every model it serves has answered."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.core.datatypes import Datatype
from gateway.core.tensors import Tensor

_POLL_SECONDS = 0.1
# TorchServe and TensorFlow hold a first request while they load the model: do not give up on it early.
_ATTEMPT_SECONDS = 60.0
_SHOWN_BODY = 200


@dataclass(slots=True, frozen=True)
class ProbeInput:
    """A model and one set of inputs that it accepts."""

    model: str
    inputs: tuple[Tensor, ...]


@dataclass(slots=True, frozen=True)
class ProbeRequest:
    """One HTTP POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, frozen=True)
class Probe:
    """How to ask one server for inferences: ``request`` speaks its protocol, ``inputs`` has one entry a model.

    ``request`` raises NotReady while it lacks something that the server has yet to provide, such as a token.
    """

    request: Callable[[ProbeInput], ProbeRequest]
    inputs: tuple[ProbeInput, ...]


class NotReady(Exception):
    """The server does not answer yet; the message says what it was that it did not do."""


def oip_probe(url: str, inputs: Sequence[ProbeInput]) -> Probe:
    """Open Inference Protocol over HTTP at ``url``."""

    def request(probe: ProbeInput) -> ProbeRequest:
        header, body = _binary_body(probe.inputs)
        return ProbeRequest(f"{url}/v2/models/{probe.model}/infer", header, body)

    return Probe(request, tuple(inputs))


def torchserve_probe(url: str, token_file: Path | None, inputs: Sequence[ProbeInput]) -> Probe:
    """TorchServe's prediction API; the models' own handler takes the same binary body as OIP."""

    def request(probe: ProbeInput) -> ProbeRequest:
        header, body = _binary_body(probe.inputs)
        token = {"Authorization": f"Bearer {_inference_token(token_file)}"} if token_file is not None else {}
        return ProbeRequest(f"{url}/predictions/{probe.model}", header | token, body)

    return Probe(request, tuple(inputs))


def tfserving_probe(url: str, inputs: Sequence[ProbeInput]) -> Probe:
    """TensorFlow Serving's REST API."""

    def request(probe: ProbeInput) -> ProbeRequest:
        columns = {tensor.name: _json_data(tensor) for tensor in probe.inputs}
        body = json.dumps({"inputs": columns}).encode()
        return ProbeRequest(f"{url}/v1/models/{probe.model}:predict", {"Content-Type": "application/json"}, body)

    return Probe(request, tuple(inputs))


async def wait_ready(probe: Probe, waiting: Callable[[str], None]) -> None:
    """Return once every model has answered an inference; ``waiting`` is told what is missing meanwhile."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ATTEMPT_SECONDS)) as session:
        for probe_input in probe.inputs:
            waiting(f"first inference of {probe_input.model}")
            while True:
                try:
                    await _infer(session, probe.request(probe_input))
                    break
                except NotReady as reason:
                    waiting(f"first inference of {probe_input.model}: {reason}")
                    await asyncio.sleep(_POLL_SECONDS)


async def _infer(session: aiohttp.ClientSession, request: ProbeRequest) -> None:
    try:
        async with session.post(request.url, headers=request.headers, data=request.body) as answer:
            text = (await answer.read())[:_SHOWN_BODY].decode(errors="replace")
            if answer.status != 200:
                raise NotReady(f"HTTP {answer.status} {' '.join(text.split())}".rstrip())
    except aiohttp.ClientConnectorError:
        raise NotReady("not listening yet") from None
    except TimeoutError:
        raise NotReady(f"no answer within {_ATTEMPT_SECONDS:g} s") from None
    except aiohttp.ClientError as error:
        raise NotReady(f"{type(error).__name__}: {error}") from None


def _inference_token(token_file: Path) -> str:
    # TorchServe writes the file in place when it starts: it may be missing, of the last run, or half written.
    try:
        return str(json.loads(token_file.read_text())["inference"]["key"])
    except (OSError, ValueError, KeyError):
        raise NotReady("no token file yet") from None


def _binary_body(inputs: Sequence[Tensor]) -> tuple[dict[str, str], bytes]:
    entries = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype.value,
            "shape": list(tensor.shape),
            "parameters": {"binary_data_size": tensor.nbytes},
        }
        for tensor in inputs
    ]
    header = json.dumps({"inputs": entries}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))}
    return headers, b"".join([header, *(tensor.data for tensor in inputs)])


def _json_data(tensor: Tensor) -> Any:
    values = tensor.to_numpy().tolist()
    return _as_base64(values) if tensor.datatype is Datatype.BYTES else values


def _as_base64(values: Any) -> Any:
    if isinstance(values, list):
        return [_as_base64(value) for value in values]
    return {"b64": base64.b64encode(values).decode()}
