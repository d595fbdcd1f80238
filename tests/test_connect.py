"""From the settings of a backend to what speaks to its servers."""

import asyncio

import pytest
from support.looped import looped

from gateway.backends.oip import OIPBackend
from gateway.backends.replicated import ReplicatedBackend
from gateway.backends.tfserving import TFServingBackend
from gateway.backends.torchserve import TorchServeBackend
from gateway.config.settings import GatewayConfig
from gateway.connect import connect, connect_all

NAME = "servers"


def settings(**backend):
    return GatewayConfig.model_validate({"backends": {"b": backend}}).backends["b"]


@pytest.mark.parametrize(
    ("kind", "backend", "addresses"),
    [
        (OIPBackend, {"kind": "oip"}, {"url": "http://{}:1"}),
        (OIPBackend, {"kind": "oip", "protocol": "grpc"}, {"grpc": "{}:1"}),
        (TFServingBackend, {"kind": "tfserving"}, {"grpc": "{}:1"}),
        (TFServingBackend, {"kind": "tfserving", "protocol": "rest"}, {"url": "http://{}:1"}),
        (TorchServeBackend, {"kind": "torchserve"}, {"url": "http://{}:1"}),
        (TorchServeBackend, {"kind": "torchserve", "protocol": "grpc"}, {"url": "http://10.0.0.1:1", "grpc": "{}:1"}),
    ],
)
def test_a_name_may_be_several_servers_and_an_address_is_one(kind, backend, addresses):
    @looped
    async def scenario():
        for host, expected in (("10.0.0.1", kind), ("[::1]", kind), (NAME, ReplicatedBackend)):
            there = {key: address.format(host) for key, address in addresses.items()}
            made = connect_all("b", settings(**backend, **there), max_body=1000, check_timeout=1)
            assert (type(made), made.kind) == (expected, backend["kind"])
            await made.close()

    scenario()


@looped
async def test_every_address_of_one_server_is_that_of_the_replica():
    """TorchServe's inference and management API, whose ports differ and whose host is one name."""
    asked = []

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b" ")[1].decode())
        body = b'[{"modelVersion": "1.0", "workers": [{"status": "READY"}]}]'
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    listening = [await asyncio.start_server(answer, "127.0.0.3", 0) for _ in range(2)]
    url, management = (f"http://{NAME}:{each.sockets[0].getsockname()[1]}" for each in listening)
    torchserve = settings(kind="torchserve", url=url, management=management)
    backend = connect("b", torchserve, max_body=1000, hosts={NAME: "127.0.0.3"})
    await backend.check("m", "1")
    assert asked == ["/ping", "/models/m/all"]
    await backend.close()
    for each in listening:
        each.close()
