"""What every front door needs to know of the server it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.catalog import Catalog
from gateway.core.errors import GatewayError
from gateway.core.lifecycle import Lifecycle
from gateway.core.limits import Limits
from gateway.core.log_settings import LogControl
from gateway.core.messages import RequestContext
from gateway.core.repository import Repository
from gateway.core.service import Service
from gateway.core.tracing import Tracer
from gateway.frontends.authorization import Authorization
from gateway.frontends.crowd import Crowd
from gateway.frontends.shared_memory import SharedMemoryRegions


@dataclass(slots=True, frozen=True)
class Server:
    """The one Service behind all front doors, and what they tell clients about it.

    ``rejected`` is called for every request that fails before a backend has it; ``shared_memory`` is None when it is
    switched off. ``crowd`` is asked before anything is made of a request for inference.
    """

    name: str
    version: str
    infer: Service
    catalog: Catalog
    repository: Repository
    lifecycle: Lifecycle
    limits: Limits
    rejected: Callable[[GatewayError, RequestContext], None]
    authorization: Authorization
    logs: LogControl
    tracer: Tracer
    crowd: Crowd
    shared_memory: SharedMemoryRegions | None = None

    @property
    def ready(self) -> bool:
        """Whether inference works now: accepting traffic, and every model has a healthy backend."""
        return self.lifecycle.accepting and not self.catalog.expected and all(model.ready for model in self.catalog)
