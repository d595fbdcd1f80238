"""From the settings of a backend that is a server of its own to what speaks to it."""

from __future__ import annotations

from gateway.backends.oip import OIPBackend
from gateway.backends.oip_grpc import OIPOverGRPC
from gateway.backends.oip_http import OIPOverHTTP
from gateway.backends.oip_transport import OIPTransport
from gateway.backends.tfserving import TFServingBackend
from gateway.backends.tfserving_control import TFServingControl
from gateway.backends.tfserving_grpc import TFServingOverGRPC
from gateway.backends.tfserving_rest import TFServingOverREST
from gateway.backends.tfserving_transport import TFServingTransport
from gateway.backends.torchserve import TorchServeBackend
from gateway.config_backends import OIPBackend as OIPSettings
from gateway.config_backends import TFServingBackend as TFServingSettings
from gateway.config_backends import TorchServeBackend as TorchServeSettings
from gateway.core.backend import Backend

RemoteSettings = TorchServeSettings | TFServingSettings | OIPSettings


def connect(name: str, settings: RemoteSettings, *, max_body: int) -> Backend:
    """The backend called ``name``; ``max_body`` bounds one of its answers, in bytes. Nothing is sent yet."""
    match settings:
        case TorchServeSettings():
            return TorchServeBackend.from_config(name, settings, max_body=max_body)
        case TFServingSettings():
            return _tfserving(name, settings, max_body)
        case OIPSettings():
            return OIPBackend(name, _oip_transport(name, settings, max_body))


def _tfserving(name: str, settings: TFServingSettings, max_body: int) -> TFServingBackend:
    timeout = settings.timeout
    transport: TFServingTransport
    if settings.protocol == "rest":
        transport = TFServingOverREST(name, settings.url or "", timeout=timeout, max_body=max_body)
    else:
        transport = TFServingOverGRPC(name, settings.grpc or "", timeout=timeout, max_body=max_body)
    if settings.model_control is None:
        return TFServingBackend(name, transport)
    base_paths = settings.model_control.base_paths
    control = TFServingControl(name, settings.grpc or "", base_paths, timeout=timeout, max_body=max_body)
    return TFServingBackend(name, transport, control)


def _oip_transport(name: str, settings: OIPSettings, max_body: int) -> OIPTransport:
    timeout = settings.timeout
    if settings.protocol == "grpc":
        return OIPOverGRPC(name, settings.grpc or "", timeout=timeout, max_body=max_body)
    return OIPOverHTTP(name, settings.url or "", timeout=timeout, max_body=max_body, binary=settings.binary)
