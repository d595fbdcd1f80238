"""The gRPC port: every protocol's services, health and reflection on one server."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from gateway.frontends.grpc_door import GRPCDoor
from gateway.frontends.grpc_edge import Gate
from gateway.frontends.oip.grpc import OIPGRPCDoor
from gateway.frontends.server import Server
from gateway.frontends.tfserving.grpc import TFServingGRPCDoor
from gateway.frontends.torchserve.grpc import TorchServeGRPCDoor
from gateway.protos.loader import pool

DOORS: Mapping[str, type[GRPCDoor]] = {
    "oip": OIPGRPCDoor,
    "tfserving": TFServingGRPCDoor,
    "torchserve": TorchServeGRPCDoor,
}

# The server closes when no call has been refused for so long, in seconds.
_QUIET = 0.25


class GRPCServer:
    """The server of the gRPC port, with the chosen ``protocols``.

    With ``share_port``, other processes of this user may listen on it too.
    """

    def __init__(self, server: Server, protocols: Collection[str], *, share_port: bool = False) -> None:
        self._grpc = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", server.limits.body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", server.limits.streams),
                # Two servers on one port would share its connections silently; a taken port must be an error.
                ("grpc.so_reuseport", int(share_port)),
                # Clients may ping as often as they like to keep idle connections open.
                ("grpc.http2.min_ping_interval_without_data_ms", 1000),
                ("grpc.keepalive_permit_without_calls", 1),
            )
        )
        self._gate = Gate()
        self._services: list[str] = []
        for door in (DOORS[name](server, self._gate) for name in DOORS if name in protocols):
            self._grpc.add_generic_rpc_handlers(door.generic_handlers())
            self._services += door.services
        self._health = health.aio.HealthServicer()
        add_HealthServicer_to_server(self._health, self._grpc)
        names = (*self._services, HEALTH_SERVICE, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._grpc, pool=pool())

    def bind(self, host: str, port: int) -> int:
        """Take the port; returns the real one when ``port`` is 0.

        Raises:
            RuntimeError: it is taken.
        """
        bound: int = self._grpc.add_insecure_port(f"{host}:{port}")
        return bound

    async def start(self) -> None:
        """Begin to answer."""
        await self._grpc.start()

    async def set_ready(self, ready: bool) -> None:
        """Tell ``grpc.health.v1`` clients, for the whole server and for every service."""
        status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
        for service in ("", *self._services):
            await self._health.set(service, status)

    async def stop(self, grace: float) -> None:
        """Refuse new calls, wait up to ``grace`` seconds for those in flight, close."""
        # The library cancels calls that have arrived and not begun when it stops. Refusing them in our own words
        # (UNAVAILABLE, which clients take elsewhere) until none comes any more empties its queue first.
        await self._gate.close(quiet=_QUIET, limit=grace)
        await self._grpc.stop(grace)
