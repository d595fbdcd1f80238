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
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from gateway.core.datatypes import Datatype
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
# YAML reads an unquoted version as a number.
Version = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
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


class ModelTensor(_Section):
    """One input or output of a model; ``-1`` in ``shape`` is a dimension of any size."""

    name: Annotated[str, Field(min_length=1)]
    datatype: Datatype
    shape: list[Annotated[int, Field(ge=-1)]]


class TorchServeHandler(_Section):
    """How a model's handler is spoken to, and for a model that is not in the store what it takes and gives.

    ``payload``: ``oip`` is what the model store's archives take, and with ``binary`` false what TorchServe's own
    envelope for it takes; ``json`` is one document with all rows, in the form of ``document``; ``raw`` is a request
    with a plain body for each row, of type ``content_type`` unless the client says; ``multipart`` is a form for each
    row, with a part for each input. ``raw`` alone needs no ``inputs`` and ``outputs``. ``labels`` turn an answer of
    probability by label into scores.
    """

    payload: Literal["oip", "json", "raw", "multipart"] = "oip"
    binary: bool = True
    document: Literal["instances", "data", "rows"] = "instances"
    content_type: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,256}$")] = "application/octet-stream"
    inputs: list[ModelTensor] = []
    outputs: list[ModelTensor] = []
    labels: list[str] = []
    max_batch_size: PositiveInt = 1

    @model_validator(mode="after")
    def _fits_its_payload(self) -> TorchServeHandler:
        if self.payload == "json" and not (self.inputs and self.outputs):
            raise ValueError("payload json needs inputs and outputs")
        if self.payload == "multipart" and not self.inputs:
            raise ValueError("payload multipart needs inputs")
        if self.payload == "raw" and self.inputs and [tensor.datatype for tensor in self.inputs] != [Datatype.BYTES]:
            raise ValueError("payload raw takes one input of datatype BYTES")
        if self.payload in ("raw", "multipart") and any(tensor.shape[:1] != [-1] for tensor in self.inputs):
            raise ValueError(f"payload {self.payload} sends row by row: the first size of every input must be -1")
        for tensor in (*self.inputs, *self.outputs):
            if self.payload != "oip" and tensor.datatype in (Datatype.FP16, Datatype.BF16):
                raise ValueError(
                    f"{tensor.name!r}: {tensor.datatype} has no JSON form, which payload {self.payload} needs"
                )
        return self


class TorchServeBackend(_Backend):
    """A TorchServe, spoken to over ``protocol``.

    ``management`` is the URL of its management API, for versions, the state of workers, and model control.
    ``token_file`` is its ``key_file.json`` when token authorisation is on. ``handlers`` say how the handlers of single
    models are spoken to, ``handler`` how all others are. ``max_request_bytes`` is its own ``max_request_size``.
    """

    kind: Literal["torchserve"]
    protocol: Literal["http", "grpc"] = "http"
    url: HttpUrl
    grpc: Address | None = None
    management: HttpUrl | None = None
    token_file: Path | None = None
    handler: TorchServeHandler = TorchServeHandler()
    handlers: dict[str, TorchServeHandler] = {}
    max_request_bytes: PositiveInt = 6_553_500
    launch: TorchServeLaunch | None = None

    @model_validator(mode="after")
    def _has_its_address(self) -> TorchServeBackend:
        if self.grpc is None and self.protocol == "grpc" and self.launch is None:
            raise ValueError("grpc is needed with protocol grpc")
        return self


class TFServingControl(_Section):
    """Lets the models of a TensorFlow Serving be loaded and unloaded, over gRPC.

    ``base_paths`` holds the folder on that server of every model that it may serve: with each change it is sent a list
    made of these, and gives up what is not in it.
    """

    base_paths: dict[str, str]


class TFServingBackend(_Backend):
    """A TensorFlow Serving, spoken to over ``protocol``; ``url`` is its REST address.

    It does not list its models: ``models`` names those that are not in the model store.
    """

    kind: Literal["tfserving"]
    protocol: Literal["grpc", "rest"] = "grpc"
    grpc: Address | None = None
    url: HttpUrl | None = None
    model_control: TFServingControl | None = None
    launch: LaunchConfig | None = None

    @model_validator(mode="after")
    def _has_its_address(self) -> TFServingBackend:
        if self.url is None and self.protocol == "rest" and self.launch is None:
            raise ValueError("url is needed with protocol rest")
        if self.grpc is None and (self.protocol == "grpc" or self.launch is not None or self.model_control is not None):
            raise ValueError("grpc is needed, unless protocol is rest, without model_control and launch")
        return self


class OIPBackend(_Backend):
    """Any server of the Open Inference Protocol, spoken to over ``protocol``.

    ``binary`` says whether the server takes binary tensors over HTTP; without it the server is asked.
    """

    kind: Literal["oip"]
    protocol: Literal["http", "grpc"] = "http"
    url: HttpUrl | None = None
    grpc: Address | None = None
    binary: bool | None = None
    launch: OIPLaunch | None = None

    @model_validator(mode="after")
    def _has_its_address(self) -> OIPBackend:
        if self.url is None and (self.protocol == "http" or self.launch is not None):
            raise ValueError("url is needed, unless protocol is grpc and the server is not launched here")
        if self.grpc is None and self.protocol == "grpc" and self.launch is None:
            raise ValueError("grpc is needed with protocol grpc")
        return self


class EmbeddedBackend(_Backend):
    """An inference engine in this very process: a gateway with one of these is a model server.

    At most ``queue_size`` requests wait for one of the ``instances`` to be free.
    """

    kind: Literal["embedded"]
    engine: Literal["onnxruntime", "tensorflow", "pytorch"]
    device: Device = "auto"
    threads: PositiveInt = 1
    instances: PositiveInt = 1
    queue_size: PositiveInt = 1000


Backend = Annotated[TorchServeBackend | TFServingBackend | OIPBackend | EmbeddedBackend, Field(discriminator="kind")]


_LIMITS = Limits()


class LimitsConfig(_Section):
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
    ``labels`` holds version by label for each model. ``shared_memory`` lets clients on this machine register POSIX
    shared memory segments that the gateway's user may open, and send and get tensors in them.
    """

    name: str = "serving-gateway"
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
    drain: DrainConfig = DrainConfig()
    control: ControlConfig = ControlConfig()
    default_timeout: PositiveFloat = 60.0
    shared_memory: bool = False

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
