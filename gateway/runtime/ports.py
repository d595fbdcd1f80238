"""The ports of the stack: free ones where the configuration says 0, and a check that none is taken."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.config.backends import EmbeddedBackend
from gateway.config.settings import GatewayConfig
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.procfs import port_owner

_ANY_TO_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)


@dataclass(slots=True, frozen=True)
class ListeningPort:
    """One address that a process of the stack listens on; ``path`` is its place in the configuration."""

    path: tuple[str, ...]
    host: str
    port: int

    @property
    def key(self) -> str:
        """The setting as error messages name it."""
        return ".".join(self.path)

    @property
    def server(self) -> str:
        """Who listens there: the backend, or ``gateway``."""
        return self.path[1] if self.path[0] == "backends" else "gateway"


def split_address(address: str) -> tuple[str, int]:
    """Host (an IPv6 one without its brackets) and port of ``host:port`` or of a URL; no port gives 80."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    return parts.hostname or "", 80 if parts.port is None else parts.port


def join_address(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def client_host(host: str) -> str:
    """The host under which a server that listens on ``host`` is reached from this machine."""
    return _ANY_TO_LOOPBACK.get(host, host)


def listening_ports(config: GatewayConfig) -> Iterator[ListeningPort]:
    """Every address that the gateway and the launched backends listen on."""
    for key in ("http", "grpc", "metrics", "admin"):
        listener = getattr(config, key)
        if listener is not None:
            yield ListeningPort((key, "port"), listener.host, listener.port)
    for name, backend in config.backends.items():
        if isinstance(backend, EmbeddedBackend) or backend.launch is None:
            continue
        host = "127.0.0.1"
        for field in ("url", "grpc"):
            if address := getattr(backend, field, None):
                host, port = split_address(address)
                yield ListeningPort(("backends", name, field), host, port)
        for field in type(backend.launch).model_fields:
            if field.endswith("_port"):
                yield ListeningPort(("backends", name, "launch", field), host, getattr(backend.launch, field))


def resolve_ports(config: GatewayConfig, server: str | None = None) -> GatewayConfig:
    """``config`` with a free port in place of every 0, and with the addresses that a launched backend needs.

    With ``server``, only of that one: the others run on machines of their own.

    Raises:
        RuntimeFailure: a host is no address of this machine.
    """
    config = _with_needed_addresses(config)
    data = config.model_dump(mode="json")
    held: list[socket.socket] = []  # all stay bound until the last is chosen, so that none is chosen twice
    try:
        for wanted in listening_ports(config):
            if wanted.port == 0 and server in (None, wanted.server):
                held.append(_bind(wanted))
                _set_port(data, wanted.path, held[-1].getsockname()[1])
    finally:
        for bound in held:
            bound.close()
    return GatewayConfig.model_validate(data)


def check_free(ports: Iterable[ListeningPort]) -> None:
    """Bind every port once.

    Raises:
        RuntimeFailure: one is taken or not allowed; names the port, its setting and, where known, who holds it.
    """
    for wanted in ports:
        _bind(wanted).close()


def _with_needed_addresses(config: GatewayConfig) -> GatewayConfig:
    """Give a launched tfserving backend its REST address and an oip one its gRPC address where they are left out."""
    backends = dict(config.backends)
    for name, backend in config.backends.items():
        if backend.kind == "tfserving" and backend.launch is not None and backend.url is None:
            host = split_address(backend.grpc or "")[0]  # a launched one has it
            backends[name] = backend.model_copy(update={"url": f"http://{join_address(host, 0)}"})
        if backend.kind == "oip" and backend.launch is not None and backend.url is not None and backend.grpc is None:
            host = split_address(backend.url)[0]
            backends[name] = backend.model_copy(update={"grpc": join_address(host, 0)})
    return config.model_copy(update={"backends": backends})


def _set_port(data: dict[str, Any], path: tuple[str, ...], port: int) -> None:
    *sections, last = path
    for key in sections:
        data = data[key]
    if last in ("url", "grpc"):
        scheme, separator, _ = data[last].rpartition("//")
        data[last] = f"{scheme}{separator}{join_address(split_address(data[last])[0], port)}"
    else:
        data[last] = port


def _bind(wanted: ListeningPort) -> socket.socket:
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    # Connections that a former server left in TIME_WAIT do not count as taken: servers set the same option.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((wanted.host, wanted.port))
    except OSError as error:
        bound.close()
        raise RuntimeFailure(f"{wanted.key}: {_explain(wanted, error)}") from None
    return bound


def _explain(wanted: ListeningPort, error: OSError) -> str:
    address = join_address(wanted.host, wanted.port)
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(wanted.port)
        return f"port {wanted.port} is taken" + (f" by {owner}" if owner else " by another process")
    if error.errno == errno.EACCES:
        return f"{address}: this user may not listen on port {wanted.port}"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{wanted.host} is no address of this machine; a launched server can only listen on one that is"
    return f"cannot listen on {address}: {error.strerror}"
