"""Small model servers, over HTTP or gRPC, each on an address of its own, as the replicas behind one name are."""

import asyncio
import contextlib
import json
import socket
from pathlib import Path

import grpc

from gateway.backends.replicated import ReplicatedBackend
from gateway.codecs.oip_grpc import SERVICE
from gateway.config.backends import OIPBackend as Settings
from gateway.connect import connect
from gateway.protos.loader import message_class

NAME = "servers"
_OPEN = ("01", "08")  # established, and closed by the other side alone
ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


class ReplicaServer:
    """Serves the versions in ``ready`` of any model; answers to inferences wait while ``gate`` is closed.

    ``served`` and ``in_flight`` count inferences; ``names`` holds what clients call the server.
    """

    def __init__(self, address, port, *ready):
        self.address = address
        self.port = port
        self.ready = set(ready)
        self.gate = asyncio.Event()
        self.gate.set()
        self.served = 0
        self.in_flight = 0
        self.names = set()

    async def infer(self):
        self.in_flight += 1
        try:
            await self.gate.wait()
            self.served += 1
        finally:
            self.in_flight -= 1


class OverHTTP(ReplicaServer):
    """``writers`` are its open connections."""

    protocol = "http"

    async def start(self):
        self.writers = set()
        self._server = await asyncio.start_server(self._serve, self.address, self.port)
        return self

    async def kill(self):
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        await self._server.wait_closed()
        while self._is_connected():  # until then a client may send on a connection that it has not seen close
            await asyncio.sleep(0)

    def _is_connected(self):
        """Whether the kernel has a connection to here that its client has not closed."""
        here = f"{int.from_bytes(socket.inet_aton(self.address), 'little'):08X}:{self.port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(remote == here and state in _OPEN for _, _, remote, state, *_ in rows)

    async def _serve(self, reader, writer):
        self.writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
                await reader.readexactly(int(headers["content-length"]))
                self.names.add(headers["host"])
                status, document = await self._answer(head.split(" ", 2)[1].split("/"))
                body = json.dumps(document).encode()
                writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        self.writers.discard(writer)
        writer.transport.abort()

    async def _answer(self, path):
        if path[-1] == "ready":
            return (200 if path[-2] in self.ready else 400), {}
        if path[-1] == "infer":
            await self.infer()
            return 200, {"model_name": path[3], "outputs": []}
        return 200, {"extensions": []}


class OverGRPC(ReplicaServer):
    protocol = "grpc"

    async def start(self):
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        calls = {"ModelReady": self._model_ready, "ModelInfer": self._model_infer}
        handlers = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self._server.add_insecure_port(f"{self.address}:{self.port}")
        await self._server.start()
        return self

    async def kill(self):
        await self._server.stop(None)

    async def _model_ready(self, message, context):
        asked = message_class("inference.ModelReadyRequest").FromString(message)
        return message_class("inference.ModelReadyResponse")(ready=asked.version in self.ready).SerializeToString()

    async def _model_infer(self, message, context):
        await self.infer()
        return message_class("inference.ModelInferResponse")(model_name="m").SerializeToString()


SERVERS = {each.protocol: each for each in (OverHTTP, OverGRPC)}


class Names:
    """A name server with one name; ``addresses`` may be changed, or an error."""

    def __init__(self, *addresses):
        self.addresses = list(addresses)

    async def __call__(self, name):
        assert name == NAME
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return self.addresses


def free_port():
    """A port that is free on every address of ADDRESSES: none of them has been used for anything else."""
    with socket.create_server((ADDRESSES[0], 0)) as found:
        return found.getsockname()[1]


def settings(protocol, port):
    """The backend behind NAME."""
    place = {"url": f"http://{NAME}:{port}"} if protocol == "http" else {"grpc": f"{NAME}:{port}"}
    return Settings(kind="oip", protocol=protocol, timeout=10, **place)


@contextlib.asynccontextmanager
async def replicated(protocol, *ready, count=2):
    """A backend ``b`` with ``count`` replicas that have the versions ``ready``, its servers, and its name server."""
    port = free_port()
    servers = [await SERVERS[protocol](address, port, *ready).start() for address in ADDRESSES[:count]]
    names = Names(*ADDRESSES[:count])
    backend = ReplicatedBackend(
        "b",
        "oip",
        NAME,
        lambda address: connect("b", settings(protocol, port), max_body=10_000, hosts={NAME: address}),
        resolve_interval=0.01,
        check_timeout=1.0,
        look_up=names,
    )
    await backend.refresh()
    try:
        for version in ready:
            await backend.check("m", version)
        yield backend, servers, names
    finally:
        await backend.close()
        for server in servers:
            server.gate.set()
            await server.kill()
