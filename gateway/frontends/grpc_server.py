"""The gRPC port: every protocol's services, health and reflection on one server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping

import grpc

from gateway.core.criticality import HEADER
from gateway.frontends import hints
from gateway.frontends.compression import Compressor
from gateway.frontends.grpc_call import PREFIX_LENGTH, Call, Connection, Method, Shared, refused
from gateway.frontends.grpc_door import GRPCDoor
from gateway.frontends.grpc_edge import Gate
from gateway.frontends.grpc_head import CallHead, read_head, refusal
from gateway.frontends.grpc_services import HEALTH_SERVICE, Health, reflection_methods
from gateway.frontends.oip.grpc import OIPGRPCDoor
from gateway.frontends.port import Port
from gateway.frontends.server import Server
from gateway.frontends.tfserving.grpc import TFServingGRPCDoor
from gateway.frontends.torchserve.grpc import TorchServeGRPCDoor
from gateway.http2.frames import FIRST_WINDOW, GREATEST_WINDOW
from gateway.http2.server import ServerConnection
from gateway.http2.server_stream import Bounds

DOORS: Mapping[str, type[GRPCDoor]] = {
    "oip": OIPGRPCDoor,
    "tfserving": TFServingGRPCDoor,
    "torchserve": TorchServeGRPCDoor,
}

# Between the request to go elsewhere and the end of new calls, in seconds: a round trip of a slow network.
_NOTICE = 0.25
_READ_AT_ONCE = 256 * 1024  # bytes: what a core's cache holds while they are copied to where they belong
_BACKLOG = 2048  # connections that may wait to be accepted, as on the HTTP port
_CROWDED = refused(
    refusal(
        grpc.StatusCode.UNAVAILABLE,
        "too many requests at once; try again later",
        [(hints.RETRY_AFTER_MS, hints.retry_after_ms(1.0))],
    )
)
_NOT_FOUND = refused(refusal(grpc.StatusCode.UNIMPLEMENTED, "there is no such method here"))


class GRPCServer:
    """The server of the gRPC port, with the chosen ``protocols``.

    With ``share_port``, other processes of this user may listen on it too.
    """

    def __init__(self, server: Server, protocols: Collection[str], *, share_port: bool = False) -> None:
        self._gate = Gate()
        doors = [DOORS[name](server, self._gate) for name in DOORS if name in protocols]
        services = [service for door in doors for service in door.services]
        self._health = Health(services)
        self._methods: dict[str, Method] = {}
        for door in doors:
            self._methods |= door.methods()
        self._methods |= self._health.methods() | reflection_methods([*services, HEALTH_SERVICE])
        self._crowd = server.crowd
        # What may be refused in a crowd, by path. Streams are let in: there are few, and much may be under way on one.
        paths = [
            f"/{each.path}" for door in doors for each in door.operations if each.inference and each.method == "rpc"
        ]
        self._inferences = {path: path.encode() for path in paths}
        limits = server.limits
        self._shared = Shared(limits, Compressor())
        # A whole message fits, so that no client ever waits for the permission to send the rest of it.
        window = min(max(FIRST_WINDOW, limits.body_bytes + PREFIX_LENGTH), GREATEST_WINDOW)
        self._bounds = Bounds(limits.streams, window, limits.head_seconds, limits.body_seconds)
        self._scratch = memoryview(bytearray(_READ_AT_ONCE))
        self._most_connections = limits.connections
        self._port = Port(share=share_port, patience=limits.body_seconds)
        self._connections: set[Connection] = set()
        self._closed = asyncio.Event()  # there are no connections
        self._listening: asyncio.Server | None = None

    def bind(self, host: str, port: int) -> int:
        """Take the port; returns the real one when ``port`` is 0.

        Raises:
            OSError: it is taken, or the host is not ours.
        """
        return self._port.bind(host, port)

    async def start(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._connect, sock=self._port.listener(), backlog=_BACKLOG)

    def set_ready(self, ready: bool) -> None:
        """Tell ``grpc.health.v1`` clients, for the whole server and for every service."""
        self._health.set(ready)

    async def stop(self, grace: float) -> None:
        """Begin no new calls, wait up to ``grace`` seconds for those in flight, close."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        await self._port.close(listening.close, self._connect)
        for connection in list(self._connections):
            connection.go_away()
        await asyncio.sleep(_NOTICE)
        for connection in list(self._connections):
            connection.leave()
        self._gate.close()
        self._health.close()
        if self._connections:
            self._closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), grace)
        for connection in list(self._connections):
            connection.abort()

    def _connect(self) -> asyncio.BaseProtocol:
        if len(self._connections) >= self._most_connections:
            return _Full()
        return ServerConnection(read_head, self._open, self._bounds, self._scratch, self._connections.add, self._lost)

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._closed.set()

    def _open(self, connection: Connection, number: int, head: CallHead) -> Call:
        method = self._methods.get(head.path, _NOT_FOUND) if head.refusal is None else refused(head.refusal)
        if self._crowd.on and head.path in self._inferences and self._crowded(head):
            method = _CROWDED
        return method(connection, number, head, self._shared)

    def _crowded(self, head: CallHead) -> bool:
        priority = head.metadata.get(HEADER)
        weight = None if priority is None else priority.encode("latin-1")
        return self._crowd.refuses(self._shared.calls, weight, self._inferences[head.path])


class _Full(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
