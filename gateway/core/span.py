"""One timed part of a request whose trace is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

# What it times: a request that came in, a call that goes out, or work in this process.
SpanKind = Literal["server", "client", "internal"]
Attributes = Mapping[str, str | int]


class Span(Protocol):
    """Runs from its making to ``end``; never raises.

    Attributes:
        traceparent: what a server gets that is called within it.
    """

    traceparent: str

    def child(self, name: str, kind: SpanKind, attributes: Attributes) -> Span:
        """Begin a part of this one."""

    def note(self, attributes: Attributes) -> None:
        """Add ``attributes``, before the end."""

    def end(self, outcome: str, problem: str = "") -> None:
        """End it with ``outcome``, such as ``ok``; ``problem`` says what failed, where that is a failure of ours."""
