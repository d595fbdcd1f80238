"""Which HTTP requests are turned away in a crowd, by their heads alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gateway.core.criticality import HEADER
from gateway.core.crowding import LEAST
from gateway.frontends.crowd import Crowd
from gateway.frontends.operations import Operation

# What may stand before the path: clients that take the gateway for their proxy send whole URLs.
_AUTHORITY = "(?:[^/?]+://[^/?]*)?"
_PRIORITY = HEADER.encode()


class HTTPCrowd:
    """Asks ``rule`` about the requests that are inference by ``operations``, each with its door's pattern of a segment.

    Health, metadata and control must be answered in a crowd too.
    """

    __slots__ = ("_inferences", "rule")

    def __init__(self, rule: Crowd, operations: Iterable[tuple[Operation, str]]) -> None:
        self.rule = rule
        self._inferences = _by_verb(operations)

    @property
    def on(self) -> bool:
        """Whether any requests are turned away."""
        return self.rule.on

    def refuses(self, verb: bytes, target: bytes, headers: Mapping[bytes, bytes], in_flight: int) -> bool:
        """Whether a request is turned away while the port has ``in_flight`` others; of use while it is on."""
        if not self.concerns(verb, target):
            return False
        return self.rule.refuses(in_flight, headers.get(_PRIORITY) if in_flight >= LEAST else None, target)

    def concerns(self, verb: bytes, target: bytes) -> bool:
        """Whether a request is inference."""
        pattern = self._inferences.get(verb)
        return pattern is not None and pattern.fullmatch(target.partition(b"?")[0]) is not None


def _by_verb(operations: Iterable[tuple[Operation, str]]) -> Mapping[bytes, re.Pattern[bytes]]:
    """For each verb one pattern of its inferences' paths, quoted as they come, with or without a slash at the end."""
    paths: dict[str, dict[str, None]] = {}  # each once: doors share some
    for operation, segment in operations:
        if operation.inference:
            paths.setdefault(operation.method, {})[operation.expression(segment)] = None
    return {
        verb.encode(): re.compile(f"{_AUTHORITY}(?:{'|'.join(expressions)})/?".encode())
        for verb, expressions in paths.items()
    }
