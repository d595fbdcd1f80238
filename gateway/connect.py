"""From the settings of a backend that is a server of its own to what speaks to it."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.backends.hosts import NO_HOSTS, Hosts, is_name
from gateway.backends.oip import OIPBackend
from gateway.backends.oip_grpc import OIPOverGRPC
from gateway.backends.oip_http import OIPOverHTTP
from gateway.backends.oip_transport import OIPTransport
from gateway.backends.replicated import ReplicatedBackend
from gateway.backends.tfserving import TFServingBackend
from gateway.backends.tfserving_control import TFServingControl
from gateway.backends.tfserving_grpc import TFServingOverGRPC
from gateway.backends.tfserving_rest import TFServingOverREST
from gateway.backends.tfserving_transport import TFServingTransport
from gateway.backends.torchserve import TorchServeBackend
from gateway.config.backends import OIPBackend as OIPSettings
from gateway.config.backends import TFServingBackend as TFServingSettings
from gateway.config.backends import TorchServeBackend as TorchServeSettings
from gateway.core.backend import Backend

RemoteSettings = TorchServeSettings | TFServingSettings | OIPSettings


def connect_all(name: str, settings: RemoteSettings, *, max_body: int, check_timeout: float) -> Backend:
    """As ``connect``, to every server behind the name in the address, if it is a name.

    ``check_timeout`` is that of ``ReplicatedBackend``.
    """
    host = host_of(settings)
    if not is_name(host):
        return connect(name, settings, max_body=max_body)
    return ReplicatedBackend(
        name,
        settings.kind,
        host,
        lambda address: connect(name, settings, max_body=max_body, hosts={host: address}),
        resolve_interval=settings.resolve_interval,
        check_timeout=check_timeout,
    )


def connect(name: str, settings: RemoteSettings, *, max_body: int, hosts: Hosts = NO_HOSTS) -> Backend:
    """The backend called ``name``, one server; ``hosts`` says where it is, if not where its name is looked up.

    ``max_body`` bounds one of its answers, in bytes. Nothing is sent yet.
    """
    match settings:
        case TorchServeSettings():
            return TorchServeBackend.from_config(name, settings, max_body=max_body, hosts=hosts)
        case TFServingSettings():
            return _tfserving(name, settings, max_body, hosts)
        case OIPSettings():
            return OIPBackend(name, _oip_transport(name, settings, max_body, hosts))


def host_of(settings: RemoteSettings) -> str:
    """The host of the address that inference goes to."""
    address = f"//{settings.grpc}" if settings.protocol == "grpc" else settings.url
    return urlsplit(address or "").hostname or ""


def _tfserving(name: str, settings: TFServingSettings, max_body: int, hosts: Hosts) -> TFServingBackend:
    timeout = settings.timeout
    transport: TFServingTransport
    if settings.protocol == "rest":
        transport = TFServingOverREST(name, settings.url or "", timeout=timeout, max_body=max_body, hosts=hosts)
    else:
        transport = TFServingOverGRPC(name, settings.grpc or "", timeout=timeout, max_body=max_body, hosts=hosts)
    if settings.model_control is None:
        return TFServingBackend(name, transport)
    base_paths = settings.model_control.base_paths
    control = TFServingControl(name, settings.grpc or "", base_paths, timeout=timeout, max_body=max_body, hosts=hosts)
    return TFServingBackend(name, transport, control)


def _oip_transport(name: str, settings: OIPSettings, max_body: int, hosts: Hosts) -> OIPTransport:
    timeout = settings.timeout
    if settings.protocol == "grpc":
        return OIPOverGRPC(name, settings.grpc or "", timeout=timeout, max_body=max_body, hosts=hosts)
    return OIPOverHTTP(
        name, settings.url or "", timeout=timeout, max_body=max_body, hosts=hosts, binary=settings.binary
    )
