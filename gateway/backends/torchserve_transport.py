"""The way to TorchServe's inference API: over HTTP or over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.codecs.torchserve_parts import Part
from gateway.core.messages import InferRequest, InferResponse, RequestContext


@dataclass(slots=True, frozen=True)
class Answer:
    """What a handler answered; ``content_type`` is empty where it said none."""

    body: bytes
    content_type: str = ""


class Transport(Protocol):
    """One TorchServe; errors are the gateway's own."""

    async def predict(self, model: str, version: str, parts: Sequence[Part], context: RequestContext) -> Answer:
        """The handler's answer to ``parts``; ``version`` empty leaves it to the server."""

    async def infer(self, request: InferRequest, version: str, *, binary: bool) -> InferResponse:
        """The answer of a handler that speaks the Open Inference Protocol, with ``binary`` tensors or in JSON."""

    async def ping(self) -> None:
        """Return when the server says that it is healthy.

        Raises:
            Unavailable: it is not.
        """

    async def close(self) -> None:
        """Release connections."""
