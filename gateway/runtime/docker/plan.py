"""From the configuration to the containers of the stack: what each is made of, and what the servers in them read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.config.backends import Backend, EmbeddedBackend, LaunchConfig
from gateway.config.file import dump_config
from gateway.config.settings import GatewayConfig, Listener
from gateway.runtime.docker import RUN_DIRECTORY
from gateway.runtime.docker.hardening import USER, hardened, health_check
from gateway.runtime.docker.project import GATEWAY, PROJECT_LABEL, SERVICE_LABEL
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import STOP_SECONDS
from gateway.runtime.launchers.front import CONFIG_FILE, stop_seconds
from gateway.runtime.plan import example_command, make_context
from gateway.runtime.ports import check_free, join_address, listening_ports, resolve_ports, split_address
from gateway.runtime.state import RunDirectory

STACK_FILE = "stack/stack.yaml"  # in the run directory
CONFIG = "/etc/gateway/stack.yaml"
STORE = Path("/models")
_GATEWAY_READY_SECONDS = 180.0  # as long as a backend by default: a container starts slowly on a busy machine
_LISTENERS = ("http", "grpc", "metrics")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - in the container: the network that it is on is our own
# By kind of backend: each has a container of its own, so that the usual ports are always free.
_PORTS = {
    "torchserve": {"url": 8080},
    "tfserving": {"url": 8501, "grpc": 8500, "metrics_port": 8502},
    "oip": {"url": 9000, "grpc": 9001},
}
_IMAGES = {"torchserve": "torchserve", "tfserving": "tensorflow"}
_ENGINE_IMAGES = {"onnxruntime": "onnxruntime", "tensorflow": "tensorflow", "pytorch": "torchserve"}


@dataclass(slots=True, frozen=True)
class ContainerPlan:
    """One container.

    Attributes:
        service: what the configuration calls the server in it, and its host name.
        name: of the container.
        image: it is made of.
        body: of the engine's API call that makes it, on the first of its networks.
        networks: all of them.
        ready_timeout: seconds from the start until it is healthy.
        stop_timeout: seconds from SIGTERM until it is killed.
        facts: as the state file shows them.
    """

    service: str
    name: str
    image: str
    body: Mapping[str, Any]
    networks: Sequence[str]
    ready_timeout: float
    stop_timeout: float
    facts: Mapping[str, str | int]


@dataclass(slots=True, frozen=True)
class DockerPlan:
    """What ``gateway up --runtime docker`` runs: the backends first, all at once, then the gateway."""

    backends: Sequence[ContainerPlan]
    gateway: ContainerPlan
    models: Sequence[str]
    example: str


def project_name(run: RunDirectory) -> str:
    """The name of the project, and of its network: a different one for each run directory."""
    return f"gateway-{hashlib.sha256(os.fsencode(run.path)).hexdigest()[:8]}"


def internal_network(project: str) -> str:
    """Where the backends are: no way out of it, and none in but through the gateway."""
    return f"{project}-internal"


def edge_network(project: str) -> str:
    """Where the published ports are."""
    return f"{project}-edge"


def plan_containers(config: GatewayConfig, run: RunDirectory, images: str) -> DockerPlan:
    """Check that the stack can start, and write the servers' configuration to the run directory.

    ``images`` is what the images' names begin with.

    Raises:
        RuntimeFailure: a port is taken, a model is not built, or a backend cannot be had in a container.
    """
    config = resolve_ports(config, GATEWAY)
    check_free(port for port in listening_ports(config) if port.server == GATEWAY and port.path[0] in _LISTENERS)
    context = make_context(config, run, elsewhere=True)
    inside = inside_containers(config)
    stack = run.path / STACK_FILE
    stack.parent.mkdir(exist_ok=True)
    stack.write_text(dump_config(inside), encoding="utf-8")
    stack.parent.chmod(0o755)  # the servers' user reads it
    stack.chmod(0o644)
    # For the commands on this machine; the admin port is nobody's but the container's.
    outside = config.model_copy(update={"admin": None, "backends": inside.backends})
    (run.path / CONFIG_FILE).write_text(dump_config(outside), encoding="utf-8")
    make = _Maker(project_name(run), images, stack, config.model_store.absolute())
    backends = [make.backend(name, backend) for name, backend in inside.backends.items() if _launch(backend)]
    return DockerPlan(backends, make.gateway(config, _secrets(inside)), list(context.models), example_command(context))


def inside_containers(config: GatewayConfig) -> GatewayConfig:
    """``config`` as the servers in the containers read it: they find each other by name, and the store at one place.

    Raises:
        RuntimeFailure: a backend cannot be had in a container, or not be reached from one.
    """
    listeners = {key: Listener(host=_EVERYWHERE, port=getattr(config, key).port) for key in _LISTENERS}
    backends = {name: _inside(name, backend) for name, backend in config.backends.items()}
    control = config.control
    if control.token_file is not None:
        control = control.model_copy(update={"token_file": control.token_file.absolute()})
    return config.model_copy(update={**listeners, "model_store": STORE, "control": control, "backends": backends})


def _secrets(inside: GatewayConfig) -> list[Path]:
    """The files with secrets that the gateway reads; they keep their places in its container."""
    tokens = [getattr(backend, "token_file", None) for backend in inside.backends.values()]
    return [path for path in (inside.control.token_file, *tokens) if path is not None]


def _inside(name: str, backend: Backend) -> Backend:
    if isinstance(backend, EmbeddedBackend):
        raise RuntimeFailure(f"backends.{name}: the gateway's image has no engine in it; give it a server of its own")
    launch = backend.launch
    if launch is None:
        for field in ("url", "grpc"):
            address = getattr(backend, field)
            if address and split_address(address)[0] in _LOOPBACK:
                raise RuntimeFailure(
                    f"backends.{name}.{field}: {address} is the container itself, seen from the gateway's container; "
                    f"name the server by an address that is reached from there"
                )
        token = getattr(backend, "token_file", None)
        return backend if token is None else backend.model_copy(update={"token_file": token.absolute()})
    defaults = _PORTS[backend.kind]
    ports = {key: default for key, default in defaults.items() if key.endswith("_port") and not getattr(launch, key)}
    settings = {"authorization": False} if backend.kind == "torchserve" else {}  # no two containers share a key file
    addresses: dict[str, str] = {}
    for field, scheme in (("url", "http://"), ("grpc", "")):
        if field in defaults:
            port = split_address(getattr(backend, field) or f"{name}:0")[1] or defaults[field]
            addresses[field] = f"{scheme}{join_address(name, port)}"
    return backend.model_copy(update={**addresses, "launch": launch.model_copy(update={**ports, **settings})})


def _launch(backend: Backend) -> LaunchConfig | None:
    return None if isinstance(backend, EmbeddedBackend) else backend.launch


class _Maker:
    """Makes the plans of one project's containers."""

    def __init__(self, project: str, images: str, stack: Path, store: Path) -> None:
        self._project = project
        self._images = images
        # The folder, and not the file: a mounted file stays what it was when another one takes its name.
        self._mounts = [_read_only(store, STORE), _read_only(stack.parent, Path(CONFIG).parent)]

    def backend(self, name: str, backend: Backend) -> ContainerPlan:
        """``backend`` is as the containers see it."""
        launch = _launch(backend)
        assert launch is not None, name  # noqa: S101 - only of those that have one
        engine = getattr(launch, "engine", "")
        image = _ENGINE_IMAGES[engine] if engine else _IMAGES[backend.kind]
        gpu = launch.device.startswith("cuda")
        host = hardened(image, gpu=gpu)
        if gpu:
            # All of them, so that cuda:1 is called the same in the container.
            host["DeviceRequests"] = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
        facts = {
            "kind": backend.kind,
            **{key: address for key in ("url", "grpc") if (address := getattr(backend, key, None))},
            "device": launch.device,
            "threads": launch.threads,
        }
        return self._plan(name, f"{image}-gpu" if gpu else image, host, launch.ready_timeout, STOP_SECONDS, facts)

    def gateway(self, config: GatewayConfig, secrets: Sequence[Path]) -> ContainerPlan:
        """``config`` is as this machine sees it: its listeners are what is published. ``secrets`` are files."""
        listeners: dict[str, Listener] = {key: getattr(config, key) for key in _LISTENERS}
        published = {
            f"{listener.port}/tcp": [{"HostIp": listener.host, "HostPort": str(listener.port)}]
            for listener in listeners.values()
        }
        facts = {key: join_address(listener.host, listener.port) for key, listener in listeners.items()}
        mounts = [*self._mounts, *(_read_only(path, path) for path in secrets)]
        host = {**hardened(GATEWAY), "PortBindings": published, "Mounts": mounts}
        return self._plan(GATEWAY, GATEWAY, host, _GATEWAY_READY_SECONDS, stop_seconds(config), facts)

    def _plan(
        self,
        service: str,
        image: str,
        host: Mapping[str, Any],
        ready_timeout: float,
        stop_timeout: float,
        facts: Mapping[str, str | int],
    ) -> ContainerPlan:
        name = f"{self._project}-{service}-1"
        tagged = f"{self._images}/{image}:{__version__}"
        internal, edge = internal_network(self._project), edge_network(self._project)
        networks = [internal, edge] if service == GATEWAY else [internal]
        command = ["launch", service, "--config", CONFIG, "--host", _EVERYWHERE, "--run-dir", RUN_DIRECTORY]
        body = {
            "Image": tagged,
            "Cmd": command,
            "User": USER,
            "Labels": {PROJECT_LABEL: self._project, SERVICE_LABEL: service},
            "Healthcheck": health_check(service),
            "StopTimeout": round(stop_timeout),
            "ExposedPorts": {port: {} for port in host.get("PortBindings", {})},
            "HostConfig": {"Mounts": self._mounts, "NetworkMode": networks[0], **host},
            "NetworkingConfig": {"EndpointsConfig": {networks[0]: {"Aliases": [service]}}},
        }
        facts = {"container": name, **facts}
        return ContainerPlan(service, name, tagged, body, networks, ready_timeout, stop_timeout, facts)


def _read_only(source: Path, target: Path) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": str(target), "ReadOnly": True}
