"""One server of the stack by itself, as in a container: its plan, and becoming it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from gateway.config.backends import Backend, EmbeddedBackend
from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.launchers.front import NAME as GATEWAY
from gateway.runtime.launchers.front import launch_gateway
from gateway.runtime.plan import launch_backend, make_context
from gateway.runtime.ports import check_free, join_address, listening_ports, resolve_ports, split_address
from gateway.runtime.state import RunDirectory

_DEVICES = Path("/dev")


def plan_server(
    config: GatewayConfig, name: str, run: RunDirectory, *, host: str | None = None, elsewhere: bool = False
) -> Launch:
    """Check that the server ``name`` can start here, and write its files to the run directory.

    Args:
        config: the whole stack; the other servers run somewhere else, where it says.
        name: a backend with a ``launch`` section, or ``gateway``.
        run: the run directory, which exists.
        host: what it listens on, in place of the host that the others know it by; the admin port stays where it is.
        elsewhere: the files are for a server whose program is not installed here.

    Raises:
        ConfigError: the configuration has no such server, or does not say where another one is.
        RuntimeFailure: as ``make_plan``, or there is no such GPU.
    """
    _check_name(config, name)
    if host is not None:
        config = _listening_on(config, name, host)
    config = resolve_ports(config, name)
    if name == GATEWAY:
        _check_reachable(config)
    if not elsewhere:
        _check_gpu(config, name)
        check_free(port for port in listening_ports(config) if port.server == name)
    context = make_context(config, run, elsewhere=elsewhere)
    launch = launch_gateway(context) if name == GATEWAY else launch_backend(name, context)
    assert launch is not None, name  # noqa: S101 - _check_name lets no other through
    return launch


def following(launch: Launch, stack: Path) -> Launch:
    """``launch``, of a gateway, which then also obeys what changes in ``stack``, the file that it was made from."""
    return replace(launch, command=(*launch.command, "--stack", str(stack.absolute())))


def become(launch: Launch) -> NoReturn:
    """Replace this process by the server.

    Raises:
        OSError: it cannot be started.
    """
    if launch.scratch is not None:
        shutil.rmtree(launch.scratch, ignore_errors=True)
        launch.scratch.mkdir(mode=0o700)
    os.chdir(launch.directory)
    os.execve(launch.command[0], launch.command, dict(launch.environment))  # noqa: S606 - no shell is wanted


def _check_name(config: GatewayConfig, name: str) -> None:
    if name == GATEWAY:
        return
    launched = [key for key, backend in config.backends.items() if _is_launched(backend)]
    if name not in config.backends:
        raise ConfigError(f"no server is called {name!r}; there are {', '.join([GATEWAY, *launched])}")
    if name not in launched:
        raise ConfigError(f"backends.{name}: it has no `launch` section, so it is not for us to start")


def _is_launched(backend: Backend) -> bool:
    return not isinstance(backend, EmbeddedBackend) and backend.launch is not None


def _listening_on(config: GatewayConfig, name: str, host: str) -> GatewayConfig:
    changes: dict[str, Any]
    if name == GATEWAY:
        changes = {key: getattr(config, key).model_copy(update={"host": host}) for key in ("http", "grpc", "metrics")}
        return config.model_copy(update=changes)
    changes = {}
    for key, scheme in (("url", "http://"), ("grpc", "")):
        if address := getattr(config.backends[name], key):
            changes[key] = f"{scheme}{join_address(host, split_address(address)[1])}"
    backend = config.backends[name].model_copy(update=changes)
    return config.model_copy(update={"backends": {**config.backends, name: backend}})


def _check_reachable(config: GatewayConfig) -> None:
    """A free port would be another one at each start, and nobody could tell it to the gateway."""
    for port in listening_ports(config):
        if port.server == GATEWAY or port.port != 0:
            continue
        backend = config.backends[port.server]
        over_grpc = backend.kind != "embedded" and backend.protocol == "grpc"
        if port.path[-1] in (("grpc", "grpc_port") if over_grpc else ("url",)):
            raise ConfigError(f"{port.key}: a port is needed for a server that the gateway does not start itself")


def _check_gpu(config: GatewayConfig, name: str) -> None:
    """TorchServe would restart its workers for ever."""
    backend = config.backends.get(name)
    if backend is None or isinstance(backend, EmbeddedBackend) or backend.launch is None:
        return
    kind, _, index = backend.launch.device.partition(":")
    # WSL has one device for all GPUs.
    if kind == "cuda" and not (_DEVICES / "dxg").exists() and len([*_DEVICES.glob("nvidia[0-9]*")]) <= int(index):
        raise RuntimeFailure(
            f"backends.{name}.launch.device: there is no GPU {index} here for {backend.launch.device}; "
            f"give the container one, or set cpu"
        )
