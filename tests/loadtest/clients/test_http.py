from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from support.virtual_time import run_virtual

from loadtest.calls import Call
from loadtest.clients import ConnectError, ask
from loadtest.clients.http import HttpClient, encode_post
from loadtest.clients.pool import SWEEP_SECONDS
from loadtest.clock import NS, open_clock

REQUEST = encode_post("localhost", "/v2/models/m/infer", {"content-type": "application/octet-stream"}, b"abc")
LARGE = encode_post("localhost", "/", {}, bytes(8_000_000))
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nInference-Header-Content-Length: 1\r\n\r\nhi"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Use = Callable[[HttpClient], Awaitable[Any]]


class LoopClock:
    """The loop's clock, which is virtual in ``run_virtual``."""

    def now(self) -> int:
        return round(asyncio.get_running_loop().time() * NS) + 1  # a stamp of 0 would look like none

    def call_at(self, when: int, callback: Callable[[], None]) -> None:
        raise NotImplementedError


async def scenario(serve: Serve, use: Use, timeout: float, clock: Any, connections: int = 1) -> Any:
    writers: list[asyncio.StreamWriter] = []

    async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)

    server = await asyncio.start_server(remember, "127.0.0.1", 0, limit=2**24)
    port = server.sockets[0].getsockname()[1]
    client = HttpClient("127.0.0.1", port, [REQUEST, LARGE], clock=clock, timeout=timeout)
    try:
        await client.connect(connections)
        return await use(client)
    finally:
        await client.close()
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def exchange(serve: Serve, use: Use, timeout: float = 5.0, connections: int = 1, run: Any = uvloop.run) -> Any:
    """Run ``use`` with a client of a server that handles its connections with ``serve``."""

    async def with_clock() -> Any:
        with open_clock() as clock:
            return await scenario(serve, use, timeout, clock, connections)

    return run(with_clock())


def answering(*answers: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readexactly(len(REQUEST))
            writer.write(answer)
        await reader.read()
        writer.close()

    return serve


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def asked(client: HttpClient, payload: int = 0) -> Call:
    return await ask(client, payload, client.clock)


async def turns(client: HttpClient, until: Callable[[], bool]) -> None:
    """Let the loop go on until a condition holds."""
    async with asyncio.timeout(5):
        while not until():
            await asyncio.sleep(0)


def test_request_is_one_valid_post() -> None:
    assert REQUEST == (
        b"POST /v2/models/m/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n"
        b"content-type: application/octet-stream\r\n\r\nabc"
    )


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_answer_has_body_header_length_and_stamps_in_order(run: Any) -> None:
    async def use(client: HttpClient) -> None:
        before = client.clock.now()
        call = await asked(client)
        assert (call.failure, call.body, call.header_length, call.server_timing) == ("", b"hi", 1, b"")
        assert before <= call.scheduled <= call.sent < call.first_byte <= call.done <= client.clock.now()

    exchange(answering(OK), use, run=run)


def test_first_byte_is_before_the_rest_of_a_body_in_pieces() -> None:
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        writer.write(OK[:5])
        await go_on.wait()
        for byte in OK[5:]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async def use(client: HttpClient) -> None:
        ended: list[Call] = []
        call = Call(0, client.clock.now(), ended.append)
        client.start(call)
        await turns(client, lambda: bool(call.first_byte))
        assert not ended
        go_on.set()
        await turns(client, lambda: bool(ended))
        assert call.body == b"hi"
        assert call.first_byte < call.done

    exchange(serve, use)


INFORMATIONAL = b"HTTP/1.1 103 Early Hints\r\nserver-timing: early\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


def test_chunked_answer_and_no_header_length_left_over() -> None:
    async def use(client: HttpClient) -> None:
        first, second = await asked(client), await asked(client)
        assert (first.header_length, second.body, second.header_length) == (1, b"abc", None)

    exchange(answering(OK, CHUNKED), use)


def test_server_timings_are_joined_and_those_of_informational_answers_left_out() -> None:
    informational = INFORMATIONAL + b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = OK.replace(b"\r\n\r\n", b"\r\nServer-Timing: a;dur=1\r\nserver-timing: b;dur=2\r\n\r\n")

    async def use(client: HttpClient) -> None:
        assert (await asked(client)).server_timing == b"a;dur=1, b;dur=2"
        assert (await asked(client)).server_timing == b""
        assert client.opened == 1

    exchange(answering(informational + answer, OK), use)


def test_body_without_a_length_ends_with_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        writer.close()

    async def use(client: HttpClient) -> None:
        for opened in (1, 2):
            call = await asked(client)
            assert (call.failure, call.body, client.opened) == ("", b"all of it", opened)

    exchange(serve, use)


def test_connection_that_the_server_is_about_to_close_is_not_used_again() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")

    async def use(client: HttpClient) -> None:
        for opened in (1, 2, 3):
            assert ((await asked(client)).body, client.opened) == (b"hi", opened)

    exchange(answering(closing), use)


def test_connection_that_was_closed_while_idle_is_not_used() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        writer.write(OK)
        if closed.is_set():
            await reader.read()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async def use(client: HttpClient) -> None:
        for opened in (1, 2):
            assert ((await asked(client)).failure, client.opened) == ("", opened)
            await closed.wait()
            await asyncio.sleep(0)

    exchange(serve, use)


def test_end_that_only_the_kernel_knows_of_is_seen_after_a_rest() -> None:
    async def use(client: HttpClient) -> None:
        await asked(client)
        (connection,) = client._connections
        connection._arrived -= NS  # type: ignore[attr-defined]
        connection._transport.pause_reading()  # the loop does not get to see what the server does
        assert connection.usable(client.clock.now())
        first_of_two.set()
        await both.wait()
        assert not connection.usable(client.clock.now())
        assert ((await asked(client)).failure, client.opened) == ("", 2)

    first_of_two, both = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        writer.write(OK)
        if not both.is_set():
            await first_of_two.wait()
            writer.close()
            await writer.wait_closed()
            both.set()
        else:
            await reader.read()

    exchange(serve, use)


def test_connections_are_opened_on_demand_and_kept() -> None:
    async def use(client: HttpClient) -> None:
        for _ in range(3):
            await asked(client)
        assert client.opened == 1
        calls = await asyncio.gather(*(asked(client) for _ in range(3)))
        assert [call.failure for call in calls] == [""] * 3
        assert client.opened == 3
        await asyncio.gather(*(asked(client) for _ in range(3)))
        assert client.opened == 3

    exchange(answering(*[OK] * 10), use)


def test_connect_opens_only_what_is_missing() -> None:
    async def use(client: HttpClient) -> None:
        assert client.opened == 4
        await client.connect(6)
        assert client.opened == 6
        await client.connect(2)
        assert client.opened == 6

    exchange(answering(OK), use, connections=4)


def test_a_call_can_be_started_by_the_end_of_another() -> None:
    async def use(client: HttpClient) -> None:
        ended = asyncio.Event()
        bodies: list[bytes] = []

        def again(call: Call) -> None:
            bodies.append(call.body)
            if len(bodies) == 5:
                ended.set()
            else:
                client.start(Call(0, client.clock.now(), again))

        client.start(Call(0, client.clock.now(), again))
        await ended.wait()
        assert (bodies, client.opened) == ([b"hi"] * 5, 1)

    exchange(answering(*[OK] * 5), use)


def test_request_larger_than_the_kernel_takes_at_once() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.readexactly(len(LARGE))
        writer.write(OK if received == LARGE else b"HTTP/1.1 500 Changed\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async def use(client: HttpClient) -> None:
        assert (await asked(client, 1)).failure == ""

    exchange(serve, use)


def test_answer_before_the_request_was_written_costs_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def use(client: HttpClient) -> None:
        for opened in (1, 2):
            assert ((await asked(client, 1)).failure, client.opened) == ("HTTP 413", opened)

    async def bounded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await serve(reader, writer)

    exchange(bounded, use)


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "kind", "detail"),
    [
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", "HTTP 503", "busy"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204", ""),
        (SWITCHING, "HTTP 101", ""),
        (b"\x00\x01 no HTTP at all\r\n\r\n", "not HTTP", "Expected HTTP/, RTSP/ or ICE/"),
    ],
)
def test_bad_answers_are_failures_by_kind(answer: bytes, kind: str, detail: str) -> None:
    async def use(client: HttpClient) -> None:
        call = await asked(client)
        assert (call.failure, call.detail, call.body) == (kind, detail, b"")
        assert call.sent < call.done

    exchange(answering(answer), use)


def test_the_next_request_after_an_error_status_uses_the_same_connection() -> None:
    async def use(client: HttpClient) -> None:
        assert (await asked(client)).failure == "HTTP 500"
        assert ((await asked(client)).body, client.opened) == (b"hi", 1)

    exchange(answering(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", OK), use)


@pytest.mark.parametrize("more", [OK, b"garbage"])
def test_second_answer_to_one_request_is_never_the_answer_to_the_next(more: bytes) -> None:
    first = OK.replace(b"hi", b"1.")

    async def use(client: HttpClient) -> None:
        for opened in (1, 2):
            assert ((await asked(client)).body, client.opened) == (b"1.", opened)

    exchange(answering(first + more), use)


@pytest.mark.parametrize("beginning", [b"", OK[:20], OK[:-1], CHUNKED[:-1], INFORMATIONAL])
def test_connection_cut_in_the_middle_of_an_answer(beginning: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        writer.write(beginning)
        writer.close()

    async def use(client: HttpClient) -> None:
        assert (await asked(client)).failure == "connection lost"

    exchange(serve, use)


def test_reset_says_what_the_kernel_says() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        linger_not = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
        writer.transport.abort()

    async def use(client: HttpClient) -> None:
        call = await asked(client)
        assert (call.failure, call.detail) == ("connection lost", "Connection reset by peer")

    exchange(serve, use)


def test_hanging_server_ends_in_a_timeout_and_its_connection_is_not_used_again() -> None:
    async def use(client: HttpClient) -> None:
        calls = await asyncio.gather(*(asked(client) for _ in range(3)))
        assert [call.failure for call in calls] == ["timeout"] * 3
        longest = max(call.done - call.scheduled for call in calls)
        assert 3 * NS <= longest <= (3 + SWEEP_SECONDS) * NS + 2
        assert not client._connections

    run_virtual(scenario(hang, use, 3.0, LoopClock()))


def test_connection_that_speaks_something_else_now_is_not_used_again() -> None:
    async def use(client: HttpClient) -> None:
        for opened in (1, 2):
            assert ((await asked(client)).failure, client.opened) == ("HTTP 101", opened)

    exchange(answering(SWITCHING), use)


def test_call_that_waits_for_a_connection_times_out_too() -> None:
    async def use(client: HttpClient) -> None:
        async def never() -> Any:
            await asyncio.Event().wait()

        client._open = never  # type: ignore[method-assign]
        first, second = await asyncio.gather(asked(client), asked(client))
        assert (first.failure, second.failure, second.sent) == ("timeout", "timeout", 0)
        assert 3 * NS <= second.done - second.scheduled <= (3 + SWEEP_SECONDS) * NS + 2

    run_virtual(scenario(hang, use, 3.0, LoopClock()))


def test_refused_connections_are_a_failure_of_connect_and_of_calls() -> None:
    async def refused() -> None:
        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with open_clock() as clock:
            client = HttpClient("127.0.0.1", port, [REQUEST], clock=clock, timeout=1)
            with pytest.raises(ConnectError, match=r"^connect: Connection refused$"):
                await client.connect(1)
            for call in await asyncio.gather(*(asked(client) for _ in range(3))):
                assert (call.failure, call.detail, call.sent) == ("connect", "Connection refused", 0)
            assert client.opened == 0
            await client.close()

    asyncio.run(refused())


def test_close_fails_what_is_open_and_what_is_started_later() -> None:
    async def use(client: HttpClient) -> None:
        ended: list[Call] = []
        for _ in range(3):  # one is sent, two wait for a connection
            client.start(Call(0, client.clock.now(), ended.append))
        await client.close()
        assert [call.failure for call in ended] == ["closed"] * 3
        assert (await asked(client)).failure == "closed"

    exchange(hang, use)
