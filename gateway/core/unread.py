"""A request that is refused before it is read."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.messages import InferRequest


@dataclass(slots=True)
class UnreadRequest(InferRequest):
    """Of its body nothing is known. It goes through the stack to be refused there, and counted as all others are."""
