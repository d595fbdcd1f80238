"""The registry of operations: what each front door offers, to whom, and what it does not offer and why.

Each door lists its operations in one table and binds a handler to each; the routes of the HTTP port, the methods of
the gRPC port and ``docs/protocols.md`` are all made from these tables, so that none of them can say anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")
_PARAMETER = re.compile(r"\{(\w+)\}")


class Access(StrEnum):
    """Who may use an operation: everybody who reaches the port, or administrators."""

    PUBLIC = "public"
    ADMIN = "admin"


@dataclass(slots=True, frozen=True)
class Operation:
    """One operation of one protocol.

    Attributes:
        method: HTTP verb, or ``rpc`` and ``stream``.
        path: of the URL, with ``{name}`` for a part of it; for gRPC the full name, such as ``package.Service/Method``.
        summary: what it does, in a line.
        access: who may use it.
        missing: why it is refused as unsupported; empty when it is implemented.
        inference: whether models are run for it; so many of these may be asked for at once that some are turned away.
    """

    method: str
    path: str
    summary: str
    access: Access = Access.PUBLIC
    missing: str = ""
    inference: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it among the operations of a door."""
        return self.method, self.path

    def pattern(self, segment: str) -> re.Pattern[str]:
        """Of the paths of an HTTP operation; each ``{name}`` is a group, and matches ``segment``."""
        return re.compile(self._expression(lambda name: f"(?P<{name}>{segment})"))

    def expression(self, segment: str) -> str:
        """The same without groups, to be a part of another pattern."""
        return self._expression(lambda _: segment)

    def _expression(self, of_parameter: Callable[[str], str]) -> str:
        literals_and_names = _PARAMETER.split(self.path)
        return "".join(
            of_parameter(part) if index % 2 else re.escape(part) for index, part in enumerate(literals_and_names)
        )


def bound(operations: Iterable[Operation], handlers: Mapping[tuple[str, str], T]) -> list[tuple[Operation, T | None]]:
    """Each operation with its handler; None for one that is not implemented.

    Raises:
        ValueError: an implemented operation has no handler, or a handler has no operation.
    """
    operations = list(operations)
    wanted = {operation.key for operation in operations if not operation.missing}
    if wanted != handlers.keys():
        raise ValueError(f"operations and handlers differ: {sorted(wanted ^ handlers.keys())}")
    return [(operation, handlers.get(operation.key)) for operation in operations]
