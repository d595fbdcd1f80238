from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from loadtest.clients import RequestFailed
from loadtest.clients.http import HttpClient, encode_post
from loadtest.clock import open_clock

REQUEST = encode_post("localhost", "/v2/models/m/infer", {"content-type": "application/octet-stream"}, b"abc")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nInference-Header-Content-Length: 1\r\n\r\nhi"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def exchange(serve: Serve, use: Callable[[HttpClient], Awaitable[Any]], timeout: float = 5.0) -> Any:
    """Run ``use`` with a client of a server that handles its connections with ``serve``."""

    async def scenario() -> Any:
        writers: list[asyncio.StreamWriter] = []

        async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await serve(reader, writer)

        server = await asyncio.start_server(remember, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with open_clock() as clock:
            client = HttpClient("127.0.0.1", port, [REQUEST], clock=clock, timeout=timeout)
            try:
                await client.connect(1)
                return await use(client)
            finally:
                await client.close()
                server.close()
                for writer in writers:
                    writer.close()
                    with contextlib.suppress(ConnectionError):
                        await writer.wait_closed()

    return asyncio.run(scenario())


def answering(*answers: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readexactly(len(REQUEST))
            writer.write(answer)
        await reader.read()
        writer.close()

    return serve


def test_request_is_one_valid_post() -> None:
    assert REQUEST == (
        b"POST /v2/models/m/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n"
        b"content-type: application/octet-stream\r\n\r\nabc"
    )


def test_answer_has_body_header_length_and_time() -> None:
    async def use(client: HttpClient) -> None:
        before = client.clock.now()
        answer = await client.send(0)
        assert (answer.body, answer.header_length) == (b"hi", 1)
        assert before < answer.done <= client.clock.now()

    exchange(answering(OK), use)


def test_chunked_answer_and_no_header_length() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"

    async def use(client: HttpClient) -> None:
        first = await client.send(0)
        second = await client.send(0)
        assert (first.header_length, second.body, second.header_length) == (1, b"abc", None)

    exchange(answering(OK, chunked), use)


def test_connection_is_kept_and_opened_on_demand() -> None:
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await answering(*[OK] * 10)(reader, writer)

    async def use(client: HttpClient) -> None:
        for _ in range(3):
            await client.send(0)
        assert opened == 1
        await asyncio.gather(client.send(0), client.send(0), client.send(0))
        assert opened == 3

    exchange(serve, use)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", "HTTP 503"),
        (b"\x00\x01 no HTTP at all\r\n\r\n", "not HTTP"),
    ],
)
def test_bad_answers_are_failures_by_kind(answer: bytes, kind: str) -> None:
    async def use(client: HttpClient) -> None:
        with pytest.raises(RequestFailed) as failure:
            await client.send(0)
        assert failure.value.kind == kind

    exchange(answering(answer), use)


def test_the_next_request_after_an_error_status_works() -> None:
    async def use(client: HttpClient) -> None:
        with pytest.raises(RequestFailed):
            await client.send(0)
        assert (await client.send(0)).body == b"hi"

    exchange(answering(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", OK), use)


def test_connection_cut_in_the_middle_of_an_answer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        writer.write(OK[:-1])
        writer.close()

    async def use(client: HttpClient) -> None:
        with pytest.raises(RequestFailed, match="connection lost"):
            await client.send(0)

    exchange(serve, use)


def test_hanging_server_times_out() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def use(client: HttpClient) -> None:
        with pytest.raises(RequestFailed, match="timeout"):
            await client.send(0)

    exchange(serve, use, timeout=0.05)


def test_refused_connection_is_named() -> None:
    async def scenario() -> None:
        server = await asyncio.start_server(answering(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with open_clock() as clock:
            client = HttpClient("127.0.0.1", port, [REQUEST], clock=clock, timeout=1)
            with pytest.raises(RequestFailed, match="connect: "):
                await client.connect(1)
            await client.close()

    asyncio.run(scenario())


def test_cancelled_request_never_answers_the_next_one() -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        if not asked.is_set():
            asked.set()
            await cancelled.wait()
            writer.write(OK.replace(b"hi", b"NO"))
        else:
            writer.write(OK)
        await reader.read()
        writer.close()

    async def use(client: HttpClient) -> None:
        task = asyncio.create_task(client.send(0))
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        cancelled.set()
        assert (await client.send(0)).body == b"hi"

    exchange(serve, use)
