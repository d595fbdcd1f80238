"""What the stack knows of a backend, and of one model on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.messages import InferRequest, InferResponse


class Backend(Protocol):
    """A model server (or an engine in this process) behind one of the protocols out.

    Calling it answers one request; it raises ``ConnectFailed`` only when the server saw nothing of it.
    """

    @property
    def name(self) -> str:
        """The name in the configuration."""

    @property
    def kind(self) -> str:
        """The kind in the configuration: ``torchserve``, ``tfserving``, ``oip`` or ``embedded``."""

    async def __call__(self, request: InferRequest, /) -> InferResponse: ...

    async def check(self, model: str) -> None:
        """Return when ``model`` can be served now, else raise a ``GatewayError`` that says why not."""

    async def close(self) -> None:
        """Release connections and engines."""


@dataclass(slots=True)
class Load:
    """How busy a backend is: requests in flight, over all its models."""

    in_flight: int = 0


@dataclass(slots=True, eq=False)
class Endpoint:
    """One model on one backend.

    Attributes:
        backend: name of the backend.
        model: name of the model.
        healthy: result of the last health check, or of a refused connection since.
        problem: why it is not healthy; empty when it is.
        suspect: it lost a connection since the last check, so others are preferred.
        load: shared by all endpoints of the backend.
    """

    backend: str
    model: str
    healthy: bool = False
    problem: str = "not checked yet"
    suspect: bool = False
    load: Load = field(default_factory=Load)

    def mark_healthy(self) -> None:
        """Send it traffic from now on."""
        self.healthy, self.problem, self.suspect = True, "", False

    def mark_down(self, problem: str) -> None:
        """Send it no traffic until the next successful check."""
        self.healthy, self.problem = False, problem
