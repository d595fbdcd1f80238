"""How much time a backend is told that a request has left: the least of its own limit and the request's."""

import asyncio
import contextlib

import grpc
import numpy as np
import pytest
from support.looped import looped

from gateway.config.backends import OIPBackend, TFServingBackend, TorchServeBackend
from gateway.connect import connect
from gateway.core.errors import AttemptTimeout, DeadlineExceeded, GatewayError
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor

GRPC_KINDS = {
    "oip": lambda address, **more: OIPBackend(kind="oip", protocol="grpc", grpc=address, **more),
    "tfserving": lambda address, **more: TFServingBackend(kind="tfserving", grpc=address, **more),
    "torchserve": lambda address, **more: TorchServeBackend(
        kind="torchserve", protocol="grpc", grpc=address, url="http://127.0.0.1:9", **more
    ),
}


def request(left=None):
    """One whose time is over in ``left`` seconds; None gives it for ever."""
    context = RequestContext("test")
    if left is not None:
        context.deadline = asyncio.get_running_loop().time() + left
    return InferRequest("m", (Tensor.from_numpy("x", np.zeros((1, 2), np.float32)),), context)


class TimedServer(grpc.GenericRpcHandler):
    """Notes how much time each call has left, and answers none."""

    def __init__(self, *, hangs):
        self.left = []
        self._hangs = hangs

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self._call)

    async def _call(self, message, context):
        self.left.append(context.time_remaining())
        if self._hangs:
            await asyncio.Event().wait()
        await context.abort(grpc.StatusCode.INTERNAL, "no")


@contextlib.asynccontextmanager
async def timed(kind, *, hangs=False, **settings):
    handler, server = TimedServer(hangs=hangs), grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    backend = connect("b", GRPC_KINDS[kind](f"127.0.0.1:{port}", **settings), max_body=10_000)
    try:
        yield backend, handler
    finally:
        await backend.close()
        await server.stop(None)


@pytest.mark.parametrize("kind", GRPC_KINDS)
@pytest.mark.parametrize(("limit", "left", "told"), [(60, 20, 20), (20, 60, 20), (20, None, 20)])
@looped
async def test_grpc_carries_the_deadline(kind, limit, left, told):
    async with timed(kind, timeout=limit) as (backend, server):
        with pytest.raises(GatewayError):
            await backend(request(left))
    assert told - 10 < server.left[0] <= told + 1


@pytest.mark.parametrize(("limit", "left", "error"), [(0.05, 60, AttemptTimeout), (60, 0.05, DeadlineExceeded)])
@looped
async def test_whose_time_is_over_is_told_apart(limit, left, error):
    async with timed("oip", hangs=True, timeout=limit) as (backend, _):
        with pytest.raises(GatewayError) as caught:
            await backend(request(left))
    assert type(caught.value) is error


async def headers_of(message):
    """What an OIP server gets over HTTP beside ``message``."""
    heads = asyncio.Queue()

    async def serve(reader, writer):
        heads.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    backend = connect("b", OIPBackend(kind="oip", url=url), max_body=10_000)
    with pytest.raises(GatewayError):
        await backend(message)
    await backend.close()
    server.close()
    lines = (await heads.get()).decode().lower().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines if line)


@looped
async def test_http_has_a_header_that_gateways_understand():
    assert 10_000 < float((await headers_of(request(20)))["x-gateway-timeout-ms"]) <= 20_000
    assert (await headers_of(request(-1)))["x-gateway-timeout-ms"] == "1"  # 0 would be refused as malformed
    assert "x-gateway-timeout-ms" not in await headers_of(request())
