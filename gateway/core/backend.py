"""What the stack knows of a backend, and of one model on it."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.circuit import Circuit
from gateway.core.errors import Unsupported
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.peak_ewma import PeakEwma
from gateway.core.signatures import Signature

_NOT_CHECKED = "not checked yet"
_LATE_FOR = 30.0  # seconds of checks that take too long: then it is gone and not slow


@dataclass(slots=True, frozen=True)
class ModelDescription:
    """What a server tells of one of its models.

    Attributes:
        version: in the server's words; empty when the server knows no versions.
        platform: what runs the model, in the server's words.
        signature: the default one; without inputs (outputs) where the server does not tell them.
        signatures: every named one, where the server has names for them; the default one among them.
        max_batch_size: largest first dimension; 0 when the model has no batch dimension.
        labels: class names by index; empty when the server has none.
        older: its older versions that are ready too, oldest first.
    """

    version: str
    platform: str
    signature: Signature
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    max_batch_size: int = 0
    labels: tuple[str, ...] = ()
    older: tuple[ModelDescription, ...] = ()


class Backend(ABC):
    """A model server (or an engine in this process) behind one of the protocols out.

    Attributes:
        name: the name in the configuration.
        kind: the kind in the configuration: ``torchserve``, ``tfserving``, ``oip`` or ``embedded``.
        capabilities: what it can carry, so that the gateway refuses the rest before it is sent; may be replaced
            once the server has told what it is.
    """

    kind: str
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
        """Names of the models that the server has loaded, or is loading.

        Raises:
            Unsupported: this kind of server does not tell.
        """
        raise Unsupported(f"backend {self.name!r} ({self.kind}) does not list its models")

    async def describe(self, model: str) -> ModelDescription:
        """What the server tells of the latest version of ``model``, and of its older ones.

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
        version: its version, in the backend's words; empty where the backend knows no versions.
        healthy: result of the last health check, or of a refused connection since.
        problem: why it is not healthy; empty when it is.
        suspect: it lost a connection since the last check, so others are preferred.
        learned: the backend is the one that describes the model, so it must do so again after it was down.
        stale: it was down and has not described the model since; no health check makes it healthy.
        refusal: why the backend cannot carry the model at all; empty when it can.
        load: shared by all endpoints of the backend.
        circuit: whether the attempts on it went well.
        latency: how long its requests take, since it came back the last time.
        came_back_at: when that was, by ``clock``; long ago when it was never away.
        late_since: when, by ``clock``, health checks began to take too long; None when that is not what is wrong.
        clock: gives seconds that never go back; all times of the endpoint are by it.
    """

    backend: str
    model: str
    version: str = ""
    healthy: bool = False
    problem: str = _NOT_CHECKED
    suspect: bool = False
    learned: bool = False
    stale: bool = False
    refusal: str = ""
    load: Load = field(default_factory=Load)
    circuit: Circuit = field(default_factory=Circuit)
    latency: PeakEwma = field(default_factory=PeakEwma)
    came_back_at: float = -math.inf
    late_since: float | None = None
    clock: Callable[[], float] = time.monotonic

    @property
    def trusted(self) -> bool:
        """Whether it gets its share, as long as it is healthy."""
        return self.circuit.closed and not self.suspect

    def mark_healthy(self) -> None:
        """Send it traffic from now on, unless what it serves may have changed."""
        if self.stale:
            self.problem = "it came back and has not described the model yet"
            return
        if not self.healthy and self.problem != _NOT_CHECKED:
            self.circuit.half_open(self.clock())
            self.come_back()
        self.healthy, self.problem, self.suspect = True, "", False
        self.late_since = None

    def mark_down(self, problem: str, *, late: bool = False) -> None:
        """Send it no traffic until the next successful check; ``late``: a check took too long, and no more is known."""
        if not late:
            self.late_since = None
        elif self.healthy:
            self.late_since = self.clock()
        self.healthy, self.problem, self.stale = False, problem, self.learned

    def is_late(self, now: float) -> bool:
        """Whether it may well be able to answer, so that it is better than nobody."""
        return self.late_since is not None and now - self.late_since <= _LATE_FOR

    def come_back(self) -> None:
        """Start slowly from now on, and forget how fast it was: it may be another process."""
        self.came_back_at = self.clock()
        self.latency = PeakEwma()
