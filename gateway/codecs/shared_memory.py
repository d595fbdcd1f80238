"""Tensors that are not in the message but in shared memory: where, and how they are reached.

Source: triton-inference-server/server, docs/protocol/extension_shared_memory.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.tensors import Buffer

REGION = "shared_memory_region"
BYTE_SIZE = "shared_memory_byte_size"
OFFSET = "shared_memory_offset"

_SWITCHED_OFF = "shared memory is switched off; `shared_memory: true` in the gateway's configuration switches it on"


@dataclass(slots=True, frozen=True)
class Window:
    """Where one tensor is: ``byte_size`` bytes from ``offset`` in the region registered as ``region``."""

    region: str
    byte_size: int
    offset: int = 0


class SharedMemory(Protocol):
    """Registered regions, as one caller may use them; ``field`` names the tensor in errors."""

    def check(self, window: Window, field: str) -> None:
        """Return when ``window`` can be reached, else raise a ``GatewayError``."""

    def read(self, window: Window, field: str) -> bytes:
        """What is in ``window``; raises as ``check``."""

    def write(self, window: Window, data: Buffer, field: str) -> None:
        """Put ``data`` at the start of ``window``; raises as ``check``, and when it does not fit."""


class _SwitchedOff:
    def check(self, window: Window, field: str) -> None:  # noqa: ARG002
        raise Unsupported(f"{field}: {_SWITCHED_OFF}")

    def read(self, window: Window, field: str) -> bytes:  # noqa: ARG002
        raise Unsupported(f"{field}: {_SWITCHED_OFF}")

    def write(self, window: Window, data: Buffer, field: str) -> None:  # noqa: ARG002
        raise Unsupported(f"{field}: {_SWITCHED_OFF}")


SWITCHED_OFF: SharedMemory = _SwitchedOff()


def switched_off() -> Unsupported:
    """The error of an operation on shared memory that is not switched on."""
    return Unsupported(_SWITCHED_OFF)


def parse_window(parameters: Mapping[str, Any], field: str) -> Window | None:
    """The window in a tensor's parameters; None when it has none.

    Raises:
        InvalidRequest: a parameter is missing or of the wrong type.
    """
    if REGION not in parameters:
        return None
    region = parameters[REGION]
    if not isinstance(region, str) or not region:
        raise InvalidRequest(f"{field}.parameters.{REGION}: the name of a region is expected, got {region!r}")
    if BYTE_SIZE not in parameters:
        raise InvalidRequest(f"{field}.parameters.{BYTE_SIZE}: is missing")
    return Window(region, _size(parameters, BYTE_SIZE, field), _size(parameters, OFFSET, field))


def _size(parameters: Mapping[str, Any], name: str, field: str) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidRequest(f"{field}.parameters.{name}: a number of bytes is expected, got {value!r}")
    return value
