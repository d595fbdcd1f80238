"""The Open Inference Protocol's model repository: its index, and loading and unloading models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.codecs.json_document import decode_json
from gateway.core.errors import GatewayError, InvalidRequest, Unsupported
from gateway.core.repository import ModelState, Repository

_CONFIG = msgspec.json.Decoder(dict[str, Any])
_CONFIG_DEPTH = 20


def index(repository: Repository, *, ready: bool = False) -> list[dict[str, Any]]:
    """The index's documents, of the models that are ready or of all."""
    return [
        {"name": entry.name, "version": entry.version, "state": entry.state.value, "reason": entry.reason}
        for entry in repository.index()
        if not ready or entry.state is ModelState.READY
    ]


def refuse_repository_name(name: str) -> None:
    """Return when ``name`` is empty: there is one repository, and it has no name.

    Raises:
        Unsupported: it is not.
    """
    if name:
        raise Unsupported("repository_name: there is one model repository, which has no name")


async def load(repository: Repository, name: str, parameters: Mapping[str, object]) -> None:
    """Load ``name``. The parameter ``config`` may hold a JSON document with another ``max_batch_size``.

    Raises:
        GatewayError: as ``Repository.load``, in the words that clients look for.
        Unsupported: anything else of the model is to be changed.
        InvalidRequest: an unknown parameter, or a malformed one.
    """
    try:
        size = None
        for parameter, value in parameters.items():
            if parameter.startswith("file:"):
                raise Unsupported(f"parameters.{parameter}: a model's files are those in the store")
            if parameter != "config":
                raise InvalidRequest(f"parameters.{parameter}: unknown parameter")
            size = _max_batch_size(value)
        await repository.load(name, max_batch_size=size)
    except GatewayError as error:
        # Clients look for these words.
        raise type(error)(f"failed to load {name!r}: {error.message}") from None


def _max_batch_size(config: object) -> int | None:
    field = "parameters.config"
    if not isinstance(config, str):
        raise InvalidRequest(f"{field}: a JSON document as a string is expected")
    document = decode_json(config.encode(), _CONFIG, max_depth=_CONFIG_DEPTH)
    if others := sorted(document.keys() - {"max_batch_size", "name"}):
        raise Unsupported(f"{field}: only max_batch_size can be changed, not {', '.join(others)[:200]}")
    value = document.get("max_batch_size")
    # Numbers may be written as text, as in the JSON form of protobuf messages.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if value is None:
        return None
    if type(value) is not int or not 0 < value < 2**31:
        raise InvalidRequest(f"{field}.max_batch_size: a positive number is expected, got {value!r}"[:200])
    return value


async def unload(repository: Repository, name: str, parameters: Iterable[str]) -> None:
    """Unload ``name``; as ``load``. No model depends on another, so ``unload_dependents`` changes nothing."""
    for parameter in parameters:
        if parameter != "unload_dependents":
            raise InvalidRequest(f"parameters.{parameter}: unknown parameter")
    try:
        await repository.unload(name)
    except GatewayError as error:
        raise type(error)(f"failed to unload {name!r}: {error.message}") from None
