"""The request parameters that the Open Inference Protocol reserves, the same over HTTP and gRPC.

Source: triton-inference-server/server, docs/protocol/extension_schedule_policy.md and extension_parameters.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gateway.codecs.shared_memory import BYTE_SIZE, OFFSET, REGION
from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.messages import Parameter, RequestContext

# Asks for an empty last answer where a model gives none or many; the gateway's models give exactly one.
EMPTY_FINAL_RESPONSE = "triton_enable_empty_final_response"
_TRAVEL = ("binary_data_size", REGION, BYTE_SIZE, OFFSET)


def take_schedule(parameters: Mapping[str, Parameter], context: RequestContext) -> None:
    """Put ``priority`` and ``timeout`` (microseconds that the request may wait) into ``context``.

    They stay among the parameters, for backends that know them.

    Raises:
        InvalidRequest: one of them is no number, or a reserved name is used.
    """
    if not parameters:
        return
    for name in parameters:
        if name.startswith("triton_"):
            raise InvalidRequest(f"parameters.{name}: names that begin with triton_ are reserved")
    context.priority = _number(parameters, "priority")
    context.queue_timeout = _number(parameters, "timeout") / 1e6 or None


def own_parameters(parameters: Mapping[str, Any], field: str) -> Mapping[str, Parameter]:
    """Those parameters of an input that say nothing of how it travels.

    Raises:
        InvalidRequest: one of them is neither a string nor a number nor a bool.
    """
    own = {name: value for name, value in parameters.items() if name not in _TRAVEL}
    for name, value in own.items():
        if not isinstance(value, bool | int | float | str):
            raise InvalidRequest(f"{field}.{name}: a string, number or bool is expected, got {type(value).__name__}")
    return own


def _number(parameters: Mapping[str, Parameter], name: str) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidRequest(f"parameters.{name}: a number that is not negative is expected, got {value!r}")
    return value


def checked_parameters(parameters: dict[str, Any], field: str) -> dict[str, Parameter]:
    """``parameters`` as they came in JSON, once their types are known to be a parameter's.

    Raises:
        InvalidRequest: one is no string, number or bool, or does not fit 64 bits.
    """
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise InvalidRequest(f"{field}.{name}: a string, number or bool is expected, got {type(value).__name__}")
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise InvalidRequest(f"{field}.{name}: the number does not fit 64 bits")
    return parameters


def finite_parameters(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """``parameters`` for JSON.

    Raises:
        Unsupported: one is no finite number.
    """
    for name, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Unsupported(f"parameters.{name}: NaN or Infinity has no JSON form")
    return dict(parameters)


def flag(value: object, field: str) -> bool:
    """``value``, once it is known to be a bool; raises InvalidRequest."""
    if not isinstance(value, bool):
        raise InvalidRequest(f"{field}: true or false is expected, got {value!r}")
    return value
