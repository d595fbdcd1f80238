"""What the stack knows of a backend, and of one model on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.errors import Unsupported
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.signatures import Signature


@dataclass(slots=True, frozen=True)
class ModelDescription:
    """What a server tells of one of its models.

    Attributes:
        version: decimal; empty when the server knows no versions.
        platform: what runs the model, in the server's words.
        signature: the default one.
        signatures: every named one, where the server has names for them; the default one among them.
        max_batch_size: largest first dimension; 0 when the model has no batch dimension.
        labels: class names by index; empty when the server has none.
    """

    version: str
    platform: str
    signature: Signature
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    max_batch_size: int = 0
    labels: tuple[str, ...] = ()


class Backend(ABC):
    """A model server (or an engine in this process) behind one of the protocols out.

    Attributes:
        name: the name in the configuration.
        kind: the kind in the configuration: ``torchserve``, ``tfserving``, ``oip`` or ``embedded``.
        capabilities: what it can carry, so that the gateway refuses the rest before it is sent.
    """

    kind: ClassVar[str]
    name: str
    capabilities: Capabilities = EVERYTHING

    @abstractmethod
    async def __call__(self, request: InferRequest, /) -> InferResponse:
        """Answer one request; raises ``ConnectFailed`` only when the server saw nothing of it."""

    @abstractmethod
    async def check(self, model: str, version: str) -> None:
        """Return when ``model`` can be served now, else raise a ``GatewayError`` that says why not."""

    @abstractmethod
    async def close(self) -> None:
        """Release connections and engines."""

    async def list_models(self) -> list[str]:
        """Names of the models that the server has ready.

        Raises:
            Unsupported: this kind of server does not tell.
        """
        raise Unsupported(f"backend {self.name!r} ({self.kind}) does not list its models")

    async def describe(self, model: str) -> ModelDescription:
        """What the server tells of ``model``.

        Raises:
            Unsupported: this kind of server does not tell.
            ModelNotFound: it has no such model.
        """
        raise Unsupported(f"backend {self.name!r} ({self.kind}) does not describe its models")

    async def load(self, model: str, version: str) -> None:
        """Have the server load ``model``, or load it anew; returns when it can answer.

        Raises:
            Unsupported: the server has no model control, or it is switched off.
        """
        raise Unsupported(f"backend {self.name!r} ({self.kind}) has no model control")

    async def unload(self, model: str, version: str) -> None:
        """Have the server give ``model`` up; raises as ``load``."""
        raise Unsupported(f"backend {self.name!r} ({self.kind}) has no model control")


@dataclass(slots=True)
class Load:
    """How busy a backend is: requests in flight, over all its models."""

    in_flight: int = 0


@dataclass(slots=True, eq=False)
class Endpoint:
    """One version of a model on one backend.

    Attributes:
        backend: name of the backend.
        model: name of the model.
        version: its version.
        healthy: result of the last health check, or of a refused connection since.
        problem: why it is not healthy; empty when it is.
        suspect: it lost a connection since the last check, so others are preferred.
        load: shared by all endpoints of the backend.
    """

    backend: str
    model: str
    version: str = ""
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
