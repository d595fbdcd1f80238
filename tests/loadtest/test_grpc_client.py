from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from loadtest.clients import RequestFailed
from loadtest.clients.grpc import GrpcClient
from loadtest.clock import open_clock

METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Handler(grpc.GenericRpcHandler):
    """Echoes the message behind the caller's hint; ``fail`` answers an error, ``hang`` waits for the call's end."""

    def service(self, details: Any) -> Any:
        hint = dict(details.invocation_metadata).get("x-gateway-backend", "")

        def answer(data: bytes, context: Any) -> bytes:
            if data == b"fail":
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full")
            if data == b"hang":
                ended = asyncio.Event()
                context.add_callback(ended.set)
                while context.is_active() and not ended.is_set():
                    pass
            return hint.encode() + b":" + data

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def use(address: str, action: Callable[[GrpcClient], Awaitable[Any]], timeout: float = 5.0) -> Any:
    async def scenario() -> Any:
        with open_clock() as clock:
            messages = [b"ok", b"fail", b"hang"]
            client = GrpcClient(
                address, METHOD, messages, clock=clock, timeout=timeout, metadata=[("x-gateway-backend", "b")]
            )
            try:
                await client.connect(1)
                return await action(client)
            finally:
                await client.close()

    return asyncio.run(scenario())


def test_answer_is_the_raw_message_and_metadata_is_sent(address: str) -> None:
    assert use(address, lambda client: client.send(0)).body == b"b:ok"


def test_error_status_is_the_kind(address: str) -> None:
    with pytest.raises(RequestFailed, match="queue full") as failure:
        use(address, lambda client: client.send(1))
    assert failure.value.kind == "gRPC RESOURCE_EXHAUSTED"


def test_hanging_call_times_out(address: str) -> None:
    with pytest.raises(RequestFailed) as failure:
        use(address, lambda client: client.send(2), timeout=0.2)
    assert failure.value.kind == "timeout"


def test_no_server_is_a_connect_failure() -> None:
    with pytest.raises(RequestFailed) as failure:
        use("127.0.0.1:1", lambda client: client.send(0))
    assert failure.value.kind == "connect"
