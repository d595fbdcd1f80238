"""What an Open Inference Protocol server tells of a model, in the gateway's terms."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gateway.core.backend import ModelDescription
from gateway.core.datatypes import parse_datatype
from gateway.core.errors import BackendError, InvalidRequest
from gateway.core.signatures import Signature, TensorSpec

_NOT_LOADED = ("UNAVAILABLE", "UNLOADING")
_NUMBERS = re.compile(r"(\d+)")


@dataclass(slots=True, frozen=True)
class TensorMetadata:
    """One input or output, as the server words it."""

    name: str
    datatype: str
    shape: Sequence[int]


@dataclass(slots=True, frozen=True)
class ModelMetadata:
    """The model's metadata document; any part of it may be left out by a server and is empty then."""

    platform: str
    versions: Sequence[str]
    inputs: Sequence[TensorMetadata]
    outputs: Sequence[TensorMetadata]


@dataclass(slots=True, frozen=True)
class ModelConfig:
    """What the gateway needs of the model's configuration document, which few servers have.

    ``optional`` holds the inputs that a request may leave out.
    """

    max_batch_size: int = 0
    optional: Collection[str] = ()


def description(backend: str, version: str, metadata: ModelMetadata, config: ModelConfig) -> ModelDescription:
    """The description of one version.

    Raises:
        BackendError: the server gives a datatype that the protocol does not have.
    """
    try:
        inputs, outputs = (
            tuple(_spec(tensor, config.optional) for tensor in side) for side in (metadata.inputs, metadata.outputs)
        )
    except InvalidRequest as error:
        raise BackendError(f"backend {backend!r}, metadata of its model: {error.message}") from None
    return ModelDescription(
        version=version,
        platform=metadata.platform,
        signature=Signature(inputs, outputs),
        max_batch_size=config.max_batch_size,
    )


def oldest_first(versions: Iterable[str]) -> list[str]:
    """``versions`` in their order: by the numbers in them where there are any, since any text may be a version."""
    return sorted(set(versions), key=_parts)


def is_loaded(state: str) -> bool:
    """Whether a model in ``state``, as the index of a server words it, is loaded or on its way to be.

    One that is not ready yet is no reason to forget it; a server that leaves the state out lists what it has.
    """
    return state.rpartition(".")[2] not in _NOT_LOADED  # MLServer says "State.READY" over gRPC


def _parts(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _NUMBERS.split(version)]


def _spec(tensor: TensorMetadata, optional: Collection[str]) -> TensorSpec:
    datatype = parse_datatype(tensor.datatype, f"{tensor.name!r}.datatype")
    shape = tuple(max(size, -1) for size in tensor.shape)
    return TensorSpec(tensor.name, datatype, shape, optional=tensor.name in optional)
