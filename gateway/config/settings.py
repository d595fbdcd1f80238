"""Every setting of ``gateway up`` and ``gateway serve``, its type and its default.

``gateway.config.file`` reads it from YAML and the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gateway.config.admission import AdmissionConfig
from gateway.config.backends import Backend, EmbeddedBackend, TorchServeBackend
from gateway.config.balancing import BalancingConfig
from gateway.config.cache import CacheConfig
from gateway.config.retries import HedgingConfig, RetriesConfig
from gateway.config.routing import RoutingConfig, unknown_backend
from gateway.config.shadowing import CompareConfig, ShadowConfig, check_mirrors
from gateway.config.values import BackendName, HttpUrl, Port, Section, Version
from gateway.core.limits import Limits
from gateway.core.response_cache import CACHE

Protocol = Literal["oip", "tfserving", "torchserve"]
ALL_PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


class Listener(Section):
    """Where one of the gateway's servers listens; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: Port


_LIMITS = Limits()
MAX_WORKERS = 256  # more than any machine has cores for


class LimitsConfig(Section):
    """Bounds on one request and on what one client may hold open; see ``gateway.core.limits.Limits``."""

    body_bytes: PositiveInt = _LIMITS.body_bytes
    json_depth: PositiveInt = _LIMITS.json_depth
    tensors: PositiveInt = _LIMITS.tensors
    elements: PositiveInt = _LIMITS.elements
    body_chunks: PositiveInt = _LIMITS.body_chunks
    head_seconds: PositiveFloat = _LIMITS.head_seconds
    body_seconds: PositiveFloat = _LIMITS.body_seconds
    connections: PositiveInt = _LIMITS.connections
    streams: PositiveInt = _LIMITS.streams


class HealthConfig(Section):
    """Active health checks: every ``interval`` seconds, each bounded by ``timeout`` seconds."""

    interval: PositiveFloat = 1.0
    timeout: PositiveFloat = 2.0


class ParityConfig(Section):
    """The parity watch: every ``interval`` seconds each backend answers a sample of each model of the store.

    The answers are held against those of the model's source; one check may take ``timeout`` seconds.
    """

    interval: PositiveFloat = 60.0
    timeout: PositiveFloat = 10.0


class LogsConfig(Section):
    """``access_sample``: share of the answered requests that are logged, from 0 to 1. Failed ones always are."""

    access_sample: Annotated[float, Field(ge=0, le=1)] = 0.01


class TracingConfig(Section):
    """Spans of requests, sent to the OpenTelemetry collector at ``endpoint`` (OTLP over HTTP) as of ``service``.

    Whatever a client records is recorded here too. Of the traces that start here, ``sample`` is the share that is, from
    0 to 1.
    """

    endpoint: HttpUrl
    sample: Annotated[float, Field(ge=0, le=1)] = 0.01
    service: Annotated[str, Field(min_length=1)] = "gateway"


class DrainConfig(Section):
    """Shutdown: ``grace`` seconds unready but serving, then up to ``timeout`` seconds for what is in flight."""

    grace: Annotated[float, Field(ge=0)] = 0.5
    timeout: PositiveFloat = 30.0


class ControlConfig(Section):
    """Who may use the administrative operations of the protocols on the data ports, such as loading a model.

    Nobody may by default. ``token_file`` holds a secret that callers send as ``Authorization: Bearer …``; ``loopback``
    lets callers on this machine in without one. The admin port serves the same operations to loopback callers.
    """

    token_file: Path | None = None
    loopback: bool = False


class GatewayConfig(Section):
    """The whole file.

    ``models`` empty serves the latest version of every model of the store; an entry is ``name`` or ``name/version``.
    ``labels`` holds version by label for each model. ``shared_memory`` lets clients on this machine register POSIX
    shared memory segments that the gateway's user may open, and send and get tensors in them. ``workers`` is how many
    processes of ``gateway serve`` share the ports. ``watch`` obeys the file anew as soon as its content changes.
    """

    name: str = "serving-gateway"
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = 1
    watch: bool = True
    protocols: list[Protocol] = [*ALL_PROTOCOLS]
    http: Listener = Listener(port=8000)
    grpc: Listener = Listener(port=8001)
    metrics: Listener = Listener(port=8002)
    admin: Listener | None = Listener(port=8003)
    model_store: Path = Path(".models")
    models: list[str] = []
    labels: dict[str, dict[str, Version]] = {}
    backends: dict[BackendName, Backend]
    limits: LimitsConfig = LimitsConfig()
    health: HealthConfig = HealthConfig()
    balancing: BalancingConfig = BalancingConfig()
    routing: dict[str, RoutingConfig] = {}
    logs: LogsConfig = LogsConfig()
    tracing: TracingConfig | None = None
    drain: DrainConfig = DrainConfig()
    parity: ParityConfig | None = ParityConfig()
    control: ControlConfig = ControlConfig()
    default_timeout: PositiveFloat = 60.0
    retries: RetriesConfig = RetriesConfig()
    hedging: HedgingConfig | None = None
    cache: CacheConfig | None = None
    admission: AdmissionConfig | None = None
    shadow: dict[str, ShadowConfig] = {}
    compare: dict[str, CompareConfig] = {}
    shared_memory: bool = False

    @model_validator(mode="after")
    def _ports_differ(self) -> GatewayConfig:
        taken: dict[int, str] = {}
        for key, port in self.listening_ports():
            if port and port in taken:
                raise ValueError(f"{key}: port {port} is already used by {taken[port]}")
            taken[port] = key
        return self

    @model_validator(mode="after")
    def _cache_is_no_backend(self) -> GatewayConfig:
        if self.cache is not None and CACHE in self.backends:
            raise ValueError(f"backends.{CACHE}: while there is a cache, {CACHE!r} says that it has answered")
        return self

    @model_validator(mode="after")
    def _routing_leads_somewhere(self) -> GatewayConfig:
        backends = {name: backend.models for name, backend in self.backends.items()}
        if problem := unknown_backend(self.routing, backends):
            raise ValueError(problem)
        for model, section in self.routing.items():
            labels = self.labels.get(model, {})
            for key, name in section.named_versions():
                if not name.isdecimal() and name not in labels:
                    raise ValueError(
                        f"routing.{model}.{key}: no version has the label {name!r}; "
                        f"labels.{model} has: {', '.join(labels) or 'none'}"
                    )
        return self

    @model_validator(mode="after")
    def _workers_share_no_memory(self) -> GatewayConfig:
        if self.workers > 1 and self.shared_memory:
            raise ValueError("workers: a shared memory region is known to one process alone, and shared_memory is on")
        return self

    @model_validator(mode="after")
    def _mirrors_show_somebody_else(self) -> GatewayConfig:
        backends = {name: backend.models for name, backend in self.backends.items()}
        check_mirrors(self.shadow, self.compare, backends, self.labels)
        return self

    def listening_ports(self) -> Iterator[tuple[str, int]]:
        """Every port that the gateway or a launched backend will listen on, with its key in the file."""
        for key in ("http", "grpc", "metrics", "admin"):
            listener: Listener | None = getattr(self, key)
            if listener is not None:
                yield f"{key}.port", listener.port
        for name, backend in self.backends.items():
            yield from _launched_ports(f"backends.{name}", backend)


def _launched_ports(key: str, backend: Backend) -> Iterator[tuple[str, int]]:
    if isinstance(backend, EmbeddedBackend) or backend.launch is None:
        return
    if backend.url is not None:
        port = urlsplit(backend.url).port
        yield f"{key}.url", 80 if port is None else port
    if not isinstance(backend, TorchServeBackend) and backend.grpc is not None:
        yield f"{key}.grpc", int(backend.grpc.rpartition(":")[2])
    for field in type(backend.launch).model_fields:
        if field.endswith("_port"):
            yield f"{key}.launch.{field}", getattr(backend.launch, field)
