"""The gRPC client against peers made by hand, frame by frame, for what no real server does at will."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import hpack
import pytest
import uvloop

from gateway.http2 import frames as http2
from gateway.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    number,
)
from loadtest.calls import Call
from loadtest.clients import ConnectError, ask
from loadtest.clients.grpc import GrpcClient
from loadtest.clock import NS, open_clock

MESSAGES = [b"ab", bytes(range(256)) * 800]


def block(*fields: tuple[str, str]) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(list(fields)))


RESPONSE = block((":status", "200"), ("content-type", "application/grpc"))
OK = block(("grpc-status", "0"))


def message(data: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(data)) + data


def answer(stream: int, data: bytes = b"hi") -> bytes:
    return (
        frame(HEADERS, END_HEADERS, stream, RESPONSE)
        + frame(DATA, 0, stream, message(data))
        + frame(HEADERS, END_HEADERS | END_STREAM, stream, OK)
    )


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._reader = reader
        self._writer = writer
        self.number = number
        self.settings: dict[int, int] = {}

    async def greet(self, settings: dict[int, int] | None = None) -> None:
        assert await self._reader.readexactly(len(http2.PREFACE)) == http2.PREFACE
        self.settings = dict(http2.read_settings((await self.next(SETTINGS))[3]))
        self.send(frame(SETTINGS, payload=http2.settings(settings or {})))
        assert (await self.next(SETTINGS))[1] == ACK

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.close()

    async def next(self, *kinds: int) -> http2.Frame:
        """The next frame of one of ``kinds``, or of any but WINDOW_UPDATE."""
        while True:
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] in kinds or (not kinds and head[3] != WINDOW_UPDATE):
                return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    async def end(self) -> None:
        """Wait until the client closes the connection."""
        assert await self._reader.read() == b""

    async def request(self) -> tuple[int, bytes]:
        """Number and message of the next request, however it comes."""
        _, flags, stream, _ = await self.next(HEADERS)
        data = b""
        while not flags & END_STREAM:
            _, flags, same, payload = await self.next(DATA)
            assert same == stream
            data += payload
        return stream, data[5:]


Serve = Callable[[Peer], Awaitable[Any]]
Use = Callable[[GrpcClient], Awaitable[Any]]


def exchange(serve: Serve, use: Use, *, timeout: float = 5.0, connections: int = 1, run: Any = uvloop.run) -> None:
    """Run ``use`` with a connected client of a server that handles each connection with ``serve``."""

    async def scenario() -> None:
        peers: list[asyncio.Task[None]] = []
        problems: list[BaseException] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peers.append(asyncio.current_task())  # type: ignore[arg-type]
            try:
                await serve(Peer(reader, writer, len(peers)))
                await reader.read()
            except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                pass
            except BaseException as error:
                problems.append(error)
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with open_clock() as clock:
            client = GrpcClient(address, "/a.B/C", MESSAGES, clock=clock, timeout=timeout)
            try:
                async with asyncio.timeout(10):
                    await client.connect(connections)
                    await use(client)
            finally:
                await client.close()
                server.close()
                for peer in peers:
                    peer.cancel()
                await asyncio.gather(*peers, return_exceptions=True)
        if problems:
            raise problems[0]

    run(scenario())


async def asked(client: GrpcClient, payload: int = 0) -> Call:
    return await ask(client, payload, client.clock)


def answering(*answers: Callable[[int], bytes], settings: dict[int, int] | None = None) -> Serve:
    """One of ``answers`` to each request in turn, the last one for ever."""

    async def serve(peer: Peer) -> None:
        await peer.greet(settings)
        for make in (*answers, *answers[-1:] * 100):
            stream, _ = await peer.request()
            peer.send(make(stream))

    return serve


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_request_and_answer(run: Any) -> None:
    requests: list[tuple[int, bytes]] = []

    async def serve(peer: Peer) -> None:
        await peer.greet()
        assert peer.settings[http2.HEADER_TABLE_SIZE] == 0
        for _ in range(2):
            requests.append(await peer.request())
            peer.send(answer(requests[-1][0]))

    async def use(client: GrpcClient) -> None:
        for _ in range(2):
            before = client.clock.now()
            call = await asked(client)
            assert (call.failure, call.body) == ("", b"hi")
            assert before <= call.sent < call.first_byte <= call.done <= client.clock.now()
        assert client.opened == 1

    exchange(serve, use, run=run)
    assert requests == [(1, b"ab"), (3, b"ab")]


def test_first_byte_is_that_of_the_headers() -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.request()
        whole = answer(stream)
        peer.send(whole[:40])
        await go_on.wait()
        peer.send(whole[40:])

    async def use(client: GrpcClient) -> None:
        ended: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        call = Call(0, client.clock.now(), ended.set_result)
        client.start(call)
        while not call.first_byte:
            await asyncio.sleep(0)
        assert not ended.done()
        go_on.set()
        assert (await ended).first_byte < call.done

    exchange(serve, use)


def test_padding_priority_continuation_and_unknown_frames() -> None:
    def elaborate(stream: int) -> bytes:
        half = len(RESPONSE) // 2
        return b"".join(
            (
                frame(HEADERS, PADDED | PRIORITY_FLAG, stream, b"\x03" + b"prio!" + RESPONSE[:half] + bytes(3)),
                frame(CONTINUATION, 0, stream, b""),
                frame(CONTINUATION, END_HEADERS, stream, RESPONSE[half:]),
                frame(99, 255, stream, b"what is this"),
                frame(DATA, PADDED, stream, b"\x04" + message(b"hello")[:7] + bytes(4)),
                frame(DATA, 0, stream, message(b"hello")[7:]),
                frame(DATA, 0, stream, b""),
                frame(HEADERS, END_STREAM, stream, OK[:1]),
                frame(CONTINUATION, END_HEADERS, stream, OK[1:]),
            )
        )

    async def use(client: GrpcClient) -> None:
        for _ in range(2):
            call = await asked(client)
            assert (call.failure, call.body) == ("", b"hello")

    exchange(answering(elaborate), use)


def test_informational_headers_come_before_the_answer() -> None:
    async def use(client: GrpcClient) -> None:
        call = await asked(client)
        assert (call.failure, call.body, call.server_timing) == ("", b"hi", b"")

    early = block((":status", "103"), ("server-timing", "early"))
    exchange(answering(lambda stream: frame(HEADERS, END_HEADERS, stream, early) + answer(stream)), use)


def test_server_timing_of_headers_and_trailers_is_joined() -> None:
    def timed(stream: int) -> bytes:
        first = block((":status", "200"), ("server-timing", "a;dur=1"))
        last = block(("grpc-status", "0"), ("server-timing", "b;dur=2"))
        return (
            frame(HEADERS, END_HEADERS, stream, first)
            + frame(DATA, 0, stream, message(b""))
            + frame(HEADERS, END_HEADERS | END_STREAM, stream, last)
        )

    async def use(client: GrpcClient) -> None:
        call = await asked(client)
        assert (call.failure, call.body, call.server_timing) == ("", b"", b"a;dur=1, b;dur=2")

    exchange(answering(timed), use)


def trailers_only(*fields: tuple[str, str]) -> Callable[[int], bytes]:
    return lambda stream: frame(HEADERS, END_HEADERS | END_STREAM, stream, block(*fields))


def with_data(data: bytes) -> Callable[[int], bytes]:
    return lambda stream: (
        frame(HEADERS, END_HEADERS, stream, RESPONSE)
        + frame(DATA, 0, stream, data)
        + frame(HEADERS, END_HEADERS | END_STREAM, stream, OK)
    )


def reset(name: str) -> Callable[[int], bytes]:
    code = next(code for code in range(20) if http2.error_name(code) == name)
    return lambda stream: frame(RST_STREAM, 0, stream, number(code))


UNAVAILABLE = ((":status", "200"), ("grpc-status", "14"), ("grpc-message", "too b%75sy"))
PAGE = block((":status", "404"), ("content-type", "text/plain"))


@pytest.mark.parametrize(
    ("make", "kind", "detail"),
    [
        (trailers_only(*UNAVAILABLE), "gRPC UNAVAILABLE", "too busy"),
        (trailers_only((":status", "502")), "HTTP 502", ""),
        (
            lambda stream: frame(HEADERS, END_HEADERS, stream, PAGE) + frame(DATA, END_STREAM, stream, b"no page"),
            "HTTP 404",
            "no page",
        ),
        (
            lambda stream: frame(HEADERS, END_HEADERS, stream, RESPONSE) + frame(DATA, END_STREAM, stream, b""),
            "not gRPC",
            "no grpc-status in an answer of type 'application/grpc'",
        ),
        (lambda stream: frame(DATA, END_STREAM, stream, message(b"hi")), "not gRPC", "an answer without headers"),
        (with_data(message(b"hi")[:-1]), "not gRPC", "6 octets that are not one message"),
        (with_data(message(b"hi") * 2), "not gRPC", "14 octets that are not one message"),
        (with_data(b""), "not gRPC", "0 octets that are not one message"),
        (
            with_data(b"\1" + message(b"hi")[1:]),
            "compressed answer",
            "the server compresses although no compression was offered",
        ),
        (reset("REFUSED_STREAM"), "gRPC UNAVAILABLE", "RST_STREAM REFUSED_STREAM"),
        (reset("CANCEL"), "gRPC CANCELLED", "RST_STREAM CANCEL"),
        (reset("ENHANCE_YOUR_CALM"), "gRPC RESOURCE_EXHAUSTED", "RST_STREAM ENHANCE_YOUR_CALM"),
        (reset("PROTOCOL_ERROR"), "gRPC INTERNAL", "RST_STREAM PROTOCOL_ERROR"),
    ],
)
def test_bad_answers_are_failures_by_kind_and_cost_no_connection(
    make: Callable[[int], bytes], kind: str, detail: str
) -> None:
    async def use(client: GrpcClient) -> None:
        call = await asked(client)
        assert (call.failure, call.detail, call.body) == (kind, detail, b"")
        assert call.sent < call.done
        assert ((await asked(client)).body, client.opened) == (b"hi", 1)

    exchange(answering(make, answer), use)


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame(CONTINUATION, END_HEADERS, 1, b""),
        frame(HEADERS, 0, 1, RESPONSE) + frame(PING, payload=bytes(8)),
        frame(HEADERS, 0, 1, RESPONSE) + frame(CONTINUATION, END_HEADERS, 3, b""),
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
        frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + RESPONSE),
        frame(GOAWAY, payload=b"short"),
        frame(SETTINGS, payload=http2.settings({http2.MAX_FRAME_SIZE: 5})),
        frame(SETTINGS, payload=http2.settings({http2.INITIAL_WINDOW_SIZE: 2**31})),
        frame(WINDOW_UPDATE, payload=number(2**31 - 1)),
        frame(DATA, PADDED, 1, b"\x05"),
    ],
)
def test_what_is_not_http2_fails_the_calls_and_the_next_uses_a_new_connection(garbage: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.request()
        peer.send(garbage if peer.number == 1 else answer(stream))

    async def use(client: GrpcClient) -> None:
        call = await asked(client)
        assert call.failure == "not HTTP/2"
        assert call.detail
        assert ((await asked(client)).body, client.opened) == (b"hi", 2)

    exchange(serve, use)


@pytest.mark.parametrize("first", [b"HTTP/1.1 400 Bad Request\r\n\r\n", frame(PING, payload=bytes(8))])
def test_connecting_to_what_is_no_http2_server(first: bytes) -> None:
    async def serve(peer: Peer) -> None:
        peer.send(first)

    async def use(client: GrpcClient) -> None:
        raise AssertionError("connected")

    with pytest.raises(ConnectError, match=r"^connect: not HTTP/2: "):
        exchange(serve, use)


def test_connecting_to_a_server_that_closes_or_says_nothing() -> None:
    async def close(peer: Peer) -> None:
        peer.close()

    async def say_nothing(peer: Peer) -> None:
        pass

    async def use(client: GrpcClient) -> None:
        raise AssertionError("connected")

    with pytest.raises(ConnectError, match=r"^connect: connection lost"):
        exchange(close, use)
    with pytest.raises(ConnectError, match=r"^connect: timed out$"):
        exchange(say_nothing, use, timeout=0.05)


def test_refused_connections_fail_all_calls_that_wait() -> None:
    async def scenario() -> None:
        with open_clock() as clock:
            client = GrpcClient("127.0.0.1:1", "/a.B/C", MESSAGES, clock=clock, timeout=1)
            calls = await asyncio.gather(*(asked(client) for _ in range(3)))
            assert [(call.failure, call.detail) for call in calls] == [("connect", "Connection refused")] * 3
            await client.close()

    asyncio.run(scenario())


def test_lost_connection_fails_every_call_on_it() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        for _ in range(3):
            await peer.request()
        peer.close()

    async def use(client: GrpcClient) -> None:
        calls = await asyncio.gather(*(asked(client) for _ in range(3)))
        assert [call.failure for call in calls] == ["connection lost"] * 3

    exchange(serve, use)


def test_ping_is_answered() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.request()
        peer.send(frame(PING, ACK, payload=b"not this") + frame(PING, payload=b"12345678"))
        assert await peer.next(PING) == (PING, ACK, 0, b"12345678")
        peer.send(answer(stream))

    async def use(client: GrpcClient) -> None:
        assert (await asked(client)).failure == ""

    exchange(serve, use)


def test_request_larger_than_the_windows_waits_for_them() -> None:
    large = message(MESSAGES[1])

    async def serve(peer: Peer) -> None:
        await peer.greet({http2.INITIAL_WINDOW_SIZE: 100})
        _, _, stream, _ = await peer.next(HEADERS)
        received = b""
        for expected, more in (
            (100, frame(WINDOW_UPDATE, 0, stream, number(1000))),
            (1000, frame(SETTINGS, payload=http2.settings({http2.INITIAL_WINDOW_SIZE: 2100}))),
            (2000, frame(WINDOW_UPDATE, 0, stream, number(1_000_000))),
        ):
            _, flags, _, payload = await peer.next(DATA)
            assert (flags, len(payload)) == (0, expected)
            received += payload
            peer.send(more)
        while len(received) < 65_535:  # what the connection allows without being asked
            _, flags, _, payload = await peer.next(DATA)
            assert not flags
            assert len(payload) <= 16_384
            received += payload
        assert len(received) == 65_535
        peer.send(frame(SETTINGS, payload=http2.settings({http2.MAX_FRAME_SIZE: 100_000})))
        peer.send(frame(WINDOW_UPDATE, payload=number(1_000_000)))
        _, _, _, payload = await peer.next(DATA)
        assert len(payload) == 100_000
        received += payload
        while not flags & END_STREAM:
            _, flags, _, payload = await peer.next(DATA)
            received += payload
        peer.send(answer(stream, b"same" if received == large else b"changed"))

    async def use(client: GrpcClient) -> None:
        assert (await asked(client, 1)).body == b"same"

    exchange(serve, use)


def test_answer_before_the_request_was_sent_ends_the_stream_on_both_sides() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet({http2.INITIAL_WINDOW_SIZE: 100})
        _, _, stream, _ = await peer.next(HEADERS)
        peer.send(trailers_only(*UNAVAILABLE)(stream))
        assert await peer.next(RST_STREAM) == (RST_STREAM, 0, stream, number(http2.CANCEL))
        stream, _ = await peer.request()
        peer.send(frame(WINDOW_UPDATE, 0, 1, number(10)) + answer(stream))

    async def use(client: GrpcClient) -> None:
        assert (await asked(client, 1)).failure == "gRPC UNAVAILABLE"
        assert (await asked(client)).body == b"hi"

    exchange(serve, use)


def test_late_call_is_cancelled_and_what_still_comes_of_it_ignored() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        late, _ = await peer.request()
        assert await peer.next() == (RST_STREAM, 0, late, number(http2.CANCEL))
        stream, _ = await peer.request()
        peer.send(answer(late, b"late") + reset("CANCEL")(late) + answer(stream))

    async def use(client: GrpcClient) -> None:
        call = await asked(client)
        assert (call.failure, call.first_byte) == ("timeout", 0)
        assert call.done - call.scheduled >= NS // 20
        client._timeout = 5  # enough for a slow machine
        assert ((await asked(client)).body, client.opened) == (b"hi", 1)

    exchange(serve, use, timeout=0.05)


def test_nothing_more_is_sent_of_a_late_request() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        late = (await peer.next(HEADERS))[2]
        await peer.next(RST_STREAM)
        peer.send(frame(WINDOW_UPDATE, 0, 0, number(1_000_000)) + frame(WINDOW_UPDATE, 0, late, number(1_000_000)))
        _, _, stream, _ = await peer.next()
        assert (await peer.next())[2] == stream
        peer.send(answer(stream))

    async def use(client: GrpcClient) -> None:
        assert (await asked(client, 1)).failure == "timeout"
        client._timeout = 5  # enough for a slow machine
        assert (await asked(client)).body == b"hi"

    exchange(serve, use, timeout=0.05)


def test_more_calls_than_streams_use_more_connections_and_no_more_than_needed() -> None:
    waiting: list[tuple[Peer, int]] = []

    async def serve(peer: Peer) -> None:
        await peer.greet({http2.MAX_CONCURRENT_STREAMS: 2})
        while True:
            stream, _ = await peer.request()
            waiting.append((peer, stream))
            if len(waiting) == 5:
                for each, open_stream in waiting:
                    each.send(answer(open_stream))

    async def use(client: GrpcClient) -> None:
        calls = await asyncio.gather(*(asked(client) for _ in range(5)))
        assert [call.failure for call in calls] == [""] * 5
        assert client.opened == 3

    exchange(serve, use)
    assert sorted(Counter(peer.number for peer, _ in waiting).values()) == [1, 2, 2]


def test_connect_makes_room_for_all_and_a_lowered_limit_is_kept() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet({http2.MAX_CONCURRENT_STREAMS: 3})
        stream, _ = await peer.request()
        peer.send(frame(SETTINGS, payload=http2.settings({http2.MAX_CONCURRENT_STREAMS: 1})) + answer(stream))
        for _ in range(10):
            stream, _ = await peer.request()
            peer.send(answer(stream))

    async def use(client: GrpcClient) -> None:
        assert client.opened == 2  # of 3 streams each
        assert (await asked(client)).failure == ""
        room = sorted(connection.room for connection in client._connections)
        assert room == [1, 3]

    exchange(serve, use, connections=4)


def test_server_that_allows_no_streams_cannot_be_connected_to() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet({http2.MAX_CONCURRENT_STREAMS: 0})

    async def use(client: GrpcClient) -> None:
        raise AssertionError("connected")

    with pytest.raises(ConnectError, match=r"^connect: the server takes connections but no requests$"):
        exchange(serve, use)


def test_going_away_keeps_the_calls_it_names_and_fails_the_others() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        if peer.number == 1:
            first, _ = await peer.request()
            await peer.request()
            peer.send(frame(GOAWAY, payload=number(first) + number(0) + b"bye"))
            peer.send(answer(first))
            await peer.end()
            ended.set()
        else:
            stream, _ = await peer.request()
            peer.send(answer(stream, b"new"))

    async def use(client: GrpcClient) -> None:
        first, second = await asyncio.gather(asked(client), asked(client))
        assert (first.failure, first.body) == ("", b"hi")
        assert (second.failure, second.detail) == ("connection lost", "GOAWAY NO_ERROR bye")
        await ended.wait()
        assert ((await asked(client)).body, client.opened) == (b"new", 2)

    ended = asyncio.Event()
    exchange(serve, use)


def test_idle_connection_that_goes_away_is_closed() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()
        peer.send(frame(GOAWAY, payload=number(0) + number(0)))
        await peer.end()
        ended.set()

    async def use(client: GrpcClient) -> None:
        await ended.wait()

    ended = asyncio.Event()
    exchange(serve, use)


def test_new_connection_when_stream_numbers_run_out() -> None:
    async def use(client: GrpcClient) -> None:
        (connection,) = client._connections
        connection._next_stream = http2.GREATEST_STREAM - 2  # type: ignore[attr-defined]
        for opened in (1, 1, 2):
            assert ((await asked(client)).failure, client.opened) == ("", opened)

    exchange(answering(answer), use)


def test_window_of_the_connection_is_enlarged_before_it_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.clients.http2_connection._ENLARGE_AFTER", 1000)

    async def serve(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.request()
        peer.send(answer(stream, bytes(700)))
        stream, _ = await peer.request()
        peer.send(answer(stream, bytes(700)))
        assert await peer.next(WINDOW_UPDATE) == (WINDOW_UPDATE, 0, 0, number(1410))
        stream, _ = await peer.request()
        peer.send(answer(stream))
        kind, _, stream, _ = await peer.next(WINDOW_UPDATE, HEADERS)
        assert kind == HEADERS
        peer.send(answer(stream))

    async def use(client: GrpcClient) -> None:
        for _ in range(4):
            assert (await asked(client)).failure == ""

    exchange(serve, use)


def test_close_fails_what_is_open() -> None:
    async def serve(peer: Peer) -> None:
        await peer.greet()

    async def use(client: GrpcClient) -> None:
        ended: list[Call] = []
        client.start(Call(0, client.clock.now(), ended.append))
        await client.close()
        client.start(Call(0, client.clock.now(), ended.append))
        assert [call.failure for call in ended] == ["closed", "closed"]

    exchange(serve, use)
