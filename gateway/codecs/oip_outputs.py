"""What a client of the Open Inference Protocol wants done with single outputs, the same over HTTP and gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.codecs.shared_memory import SharedMemory, Window, parse_window
from gateway.core.errors import InvalidRequest


@dataclass(slots=True, frozen=True)
class OutputWishes:
    """By the output's name: how many classes to give in its place, and where in shared memory to put it."""

    classes: Mapping[str, int]
    windows: Mapping[str, Window]


NO_WISHES = OutputWishes({}, {})


def decode_wishes(outputs: Iterable[tuple[str, Mapping[str, Any]]], memory: SharedMemory) -> OutputWishes:
    """The wishes in ``outputs``: the name and the parameters of each.

    ``memory`` is where they may be put; what cannot be is refused here, before the model runs.

    Raises:
        InvalidRequest: a parameter has the wrong type, or two contradict each other.
        GatewayError: as ``memory`` raises.
    """
    classes: dict[str, int] = {}
    windows: dict[str, Window] = {}
    for index, (name, parameters) in enumerate(outputs):
        if not parameters:
            continue
        field = f"outputs[{index}]"
        count = parameters.get("classification", 0)
        if type(count) is not int or count < 0:
            raise InvalidRequest(f"{field}.parameters.classification: a number of classes is expected, got {count!r}")
        window = parse_window(parameters, field)
        if count and window:
            raise InvalidRequest(f"{field}.parameters: classification and shared memory exclude each other")
        if count:
            classes[name] = count
        if window:
            memory.check(window, field)
            windows[name] = window
    return OutputWishes(classes, windows) if classes or windows else NO_WISHES
