"""The gRPC client against real servers: gRPC's own, with threads and with asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import uvloop

from loadtest.calls import Call
from loadtest.clients import ask
from loadtest.clients.grpc import GrpcClient
from loadtest.clock import NS, open_clock

METHOD = "/inference.GRPCInferenceService/ModelInfer"
LARGE = os.urandom(1024) * 5000
MESSAGES = [b"ok", b"fail", b"hang", b"", LARGE]
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

Use = Callable[[GrpcClient], Awaitable[Any]]


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Echoes the message behind the caller's hint; ``fail`` answers an error, ``hang`` waits for the call's end."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    def service(self, details: Any) -> Any:
        if details.method != METHOD:
            return None
        hint = dict(details.invocation_metadata).get("x-gateway-backend", "")

        async def answer(data: bytes, context: Any) -> bytes:
            if data == b"fail":
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue für 100 %")
            if data == b"hang":
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled.set()
            await context.send_initial_metadata((("x-gateway-served-by", "b"),))
            context.set_trailing_metadata((("server-timing", f"queue;dur={len(data)}"),))
            return hint.encode() + b":" + data

        return grpc.unary_unary_rpc_method_handler(answer)


def exchange(
    use: Use,
    *,
    timeout: float = 10.0,
    method: str = METHOD,
    options: tuple[tuple[str, int], ...] = (),
    handler: Echo | None = None,
    connections: int = 1,
) -> None:
    async def scenario() -> None:
        server = grpc.aio.server(options=(*UNLIMITED, *options))
        server.add_generic_rpc_handlers((handler or Echo(),))
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        hints = [("x-gateway-backend", "b")]
        with open_clock() as clock:
            client = GrpcClient(address, method, MESSAGES, clock=clock, timeout=timeout, metadata=hints)
            try:
                await client.connect(connections)
                await use(client)
            finally:
                await client.close()
                await server.stop(None)

    uvloop.run(scenario())


async def asked(client: GrpcClient, message: bytes = b"ok") -> Call:
    return await ask(client, MESSAGES.index(message), client.clock)


def test_answer_is_the_raw_message_with_stamps_and_server_timing() -> None:
    async def use(client: GrpcClient) -> None:
        call = await asked(client)
        assert (call.failure, call.body, call.server_timing) == ("", b"b:ok", b"queue;dur=2")
        assert call.scheduled <= call.sent < call.first_byte <= call.done
        assert (await asked(client, b"")).body == b"b:"

    exchange(use)


def test_large_messages_go_both_ways_many_at_once() -> None:
    async def use(client: GrpcClient) -> None:
        calls = await asyncio.gather(*(asked(client, message) for message in (LARGE, b"ok") * 8))
        assert [call.failure for call in calls] == [""] * 16
        assert all(call.body == b"b:" + MESSAGES[call.payload] for call in calls)
        assert client.opened == 1

    exchange(use)


def test_small_windows_and_frames_of_the_server_are_respected() -> None:
    async def use(client: GrpcClient) -> None:
        calls = await asyncio.gather(*(asked(client, LARGE) for _ in range(3)))
        assert all(call.body == b"b:" + LARGE for call in calls)

    small = (("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0), ("grpc.http2.max_frame_size", 16_384))
    exchange(use, options=small)


def test_more_calls_than_the_server_allows_streams() -> None:
    async def use(client: GrpcClient) -> None:
        calls = await asyncio.gather(*(asked(client) for _ in range(20)))
        assert [(call.failure, call.body) for call in calls] == [("", b"b:ok")] * 20
        assert client.opened == 5

    exchange(use, options=(("grpc.max_concurrent_streams", 4),), connections=20)


def test_error_status_is_the_kind_and_its_message_the_detail() -> None:
    async def use(client: GrpcClient) -> None:
        call = await asked(client, b"fail")
        assert (call.failure, call.detail, call.body) == ("gRPC RESOURCE_EXHAUSTED", "queue für 100 %", b"")
        assert (await asked(client)).failure == ""

    exchange(use)


def test_unknown_method() -> None:
    async def use(client: GrpcClient) -> None:
        call = await asked(client)
        assert (call.failure, call.detail) == ("gRPC UNIMPLEMENTED", "Method not found!")

    exchange(use, method="/no.Such/Method")


def test_hanging_call_times_out_and_the_server_learns_of_it() -> None:
    async def use(client: GrpcClient) -> None:
        call = await asked(client, b"hang")
        assert call.failure == "timeout"
        assert call.done - call.sent >= 0.05 * NS
        async with asyncio.timeout(5):
            await handler.cancelled.wait()
        client._timeout = 5  # enough for a slow machine
        assert ((await asked(client)).failure, client.opened) == ("", 1)

    handler = Echo()
    exchange(use, timeout=0.05, handler=handler)


def test_server_that_stops_lets_calls_end_and_takes_no_more() -> None:
    async def scenario() -> None:
        server = grpc.aio.server()
        handler = Echo()
        server.add_generic_rpc_handlers((handler,))
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        with open_clock() as clock:
            client = GrpcClient(address, METHOD, MESSAGES, clock=clock, timeout=10)
            await client.connect(1)
            hanging = asyncio.create_task(asked(client, b"hang"))
            assert (await asked(client)).failure == ""
            await server.stop(0.01)  # GOAWAY, then cancels what is left
            assert (await hanging).failure in ("gRPC CANCELLED", "gRPC UNAVAILABLE", "connection lost")
            call = await asked(client)
            assert (call.failure, call.detail) == ("connect", "Connection refused")
            await client.close()

    asyncio.run(scenario())


def test_compressed_answers_are_refused_by_name() -> None:
    async def use(client: GrpcClient) -> None:
        call = await asked(client, LARGE)
        assert (call.failure, call.body) == ("compressed answer", b"")

    exchange(use, options=(("grpc.default_compression_algorithm", 2),))  # whatever the client takes
