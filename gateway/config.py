"""Every setting of ``gateway up`` and ``gateway serve``, its type and its default.

``gateway.config_file`` reads it from YAML and the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from gateway.core.limits import Limits


def _device(value: str) -> str:
    kind, _, index = value.partition(":")
    if value not in ("auto", "cpu") and not (kind == "cuda" and index.isdigit()):
        raise ValueError("must be auto, cpu or cuda:N")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("must be a URL such as http://127.0.0.1:8080, without a path")
    return value.rstrip("/")


def _address(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be an address such as 127.0.0.1:8500")
    return value


def _backend_name(value: str) -> str:
    # The name becomes a file name in the run directory, where these two have files of their own.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", value) or value in ("gateway", "reaper"):
        raise ValueError("a name of letters, digits, '_', '.' and '-' is expected, other than gateway and reaper")
    return value


Device = Annotated[str, AfterValidator(_device)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Address = Annotated[str, AfterValidator(_address)]
BackendName = Annotated[str, AfterValidator(_backend_name)]
Port = Annotated[int, Field(ge=0, le=65535)]
Protocol = Literal["oip", "tfserving", "torchserve"]
ALL_PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listener(_Section):
    """Where one of the gateway's servers listens; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: Port


class LaunchConfig(_Section):
    """How ``gateway up`` starts a backend as a local process.

    ``threads`` are those one inference may use, ``instances`` how many run at once.
    """

    device: Device = "auto"
    threads: PositiveInt = 1
    instances: PositiveInt = 1
    ready_timeout: PositiveFloat = 180.0


class TorchServeLaunch(LaunchConfig):
    """TorchServe's further ports."""

    management_port: Port = 8081
    metrics_port: Port = 8082
    grpc_port: Port = 7070
    grpc_management_port: Port = 7071


class OIPLaunch(LaunchConfig):
    """``gateway serve`` with an embedded engine behind the Open Inference Protocol."""

    engine: Literal["onnxruntime", "tensorflow", "pytorch"] = "onnxruntime"
    metrics_port: Port = 9002


class _Backend(_Section):
    """Common to all backends.

    ``models`` limits which models are routed here (default: all); ``timeout`` bounds one attempt, in seconds.
    """

    models: list[str] | None = None
    timeout: PositiveFloat = 60.0


class TorchServeBackend(_Backend):
    """A TorchServe, spoken to over HTTP. ``token_file`` is its ``key_file.json`` when token authorisation is on."""

    kind: Literal["torchserve"]
    url: HttpUrl
    token_file: Path | None = None
    launch: TorchServeLaunch | None = None


class TFServingBackend(_Backend):
    """A TensorFlow Serving, spoken to over gRPC; ``url`` is its REST address."""

    kind: Literal["tfserving"]
    grpc: Address
    url: HttpUrl | None = None
    launch: LaunchConfig | None = None


class OIPBackend(_Backend):
    """Any server of the Open Inference Protocol, spoken to over HTTP with binary tensors."""

    kind: Literal["oip"]
    url: HttpUrl
    grpc: Address | None = None
    launch: OIPLaunch | None = None


class EmbeddedBackend(_Backend):
    """An inference engine in this very process: a gateway with one of these is a model server."""

    kind: Literal["embedded"]
    engine: Literal["onnxruntime", "tensorflow", "pytorch"]
    device: Device = "auto"
    threads: PositiveInt = 1
    instances: PositiveInt = 1


Backend = Annotated[TorchServeBackend | TFServingBackend | OIPBackend | EmbeddedBackend, Field(discriminator="kind")]


_LIMITS = Limits()


class LimitsConfig(_Section):
    """Bounds on one request; see ``gateway.core.limits.Limits``."""

    body_bytes: PositiveInt = _LIMITS.body_bytes
    json_depth: PositiveInt = _LIMITS.json_depth
    tensors: PositiveInt = _LIMITS.tensors
    elements: PositiveInt = _LIMITS.elements
    body_chunks: PositiveInt = _LIMITS.body_chunks


class HealthConfig(_Section):
    """Active health checks: every ``interval`` seconds, each bounded by ``timeout`` seconds."""

    interval: PositiveFloat = 1.0
    timeout: PositiveFloat = 2.0


class DrainConfig(_Section):
    """Shutdown: ``grace`` seconds unready but serving, then up to ``timeout`` seconds for what is in flight."""

    grace: Annotated[float, Field(ge=0)] = 0.5
    timeout: PositiveFloat = 30.0


class ControlConfig(_Section):
    """Who may use the administrative operations of the protocols on the data ports, such as loading a model.

    Nobody may by default. ``token_file`` holds a secret that callers send as ``Authorization: Bearer …``; ``loopback``
    lets callers on this machine in without one. The admin port serves the same operations to loopback callers.
    """

    token_file: Path | None = None
    loopback: bool = False


class GatewayConfig(_Section):
    """The whole file.

    ``models`` empty serves the latest version of every model of the store; an entry is ``name`` or ``name/version``.
    ``labels`` holds version by label for each model.
    """

    name: str = "serving-gateway"
    protocols: list[Protocol] = [*ALL_PROTOCOLS]
    http: Listener = Listener(port=8000)
    grpc: Listener = Listener(port=8001)
    metrics: Listener = Listener(port=8002)
    admin: Listener | None = Listener(port=8003)
    model_store: Path = Path(".models")
    models: list[str] = []
    labels: dict[str, dict[str, str]] = {}
    backends: dict[BackendName, Backend]
    limits: LimitsConfig = LimitsConfig()
    health: HealthConfig = HealthConfig()
    drain: DrainConfig = DrainConfig()
    control: ControlConfig = ControlConfig()
    default_timeout: PositiveFloat = 60.0

    @model_validator(mode="after")
    def _ports_differ(self) -> GatewayConfig:
        taken: dict[int, str] = {}
        for key, port in self.listening_ports():
            if port and port in taken:
                raise ValueError(f"{key}: port {port} is already used by {taken[port]}")
            taken[port] = key
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
