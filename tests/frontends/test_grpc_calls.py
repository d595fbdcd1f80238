"""gRPC calls of real clients, and of one that writes frames, on the server's connections."""

import asyncio
import contextlib
import gzip
import zlib

import grpc
import pytest
from support import raw_http2 as h2
from support.looped import looped

from gateway.core.errors import InvalidRequest
from gateway.core.limits import Limits
from gateway.frontends.compression import Compressor
from gateway.frontends.grpc_call import PREFIX_LENGTH, Shared, refused
from gateway.frontends.grpc_edge import Status
from gateway.frontends.grpc_head import read_head, refusal
from gateway.frontends.grpc_stream import stream
from gateway.frontends.grpc_unary import unary
from gateway.http2.frames import FIRST_WINDOW
from gateway.http2.server import ServerConnection
from gateway.http2.server_stream import Bounds

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
SECONDS = 15.0


@contextlib.asynccontextmanager
async def serving(methods, *, limit=10_000_000, body_seconds=30.0, scratch=256 * 1024):
    """The address of a server of ``methods``."""
    shared = Shared(Limits(body_bytes=limit), Compressor())
    bounds = Bounds(100, max(FIRST_WINDOW, limit + PREFIX_LENGTH), 10.0, body_seconds)
    unknown = refused(refusal(grpc.StatusCode.UNIMPLEMENTED, "no such method"))

    def open_stream(connection, number, head):
        method = methods.get(head.path, unknown) if head.refusal is None else refused(head.refusal)
        return method(connection, number, head, shared)

    scratch = memoryview(bytearray(scratch))
    connections = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: ServerConnection(read_head, open_stream, bounds, scratch, connections.add, connections.discard),
        "127.0.0.1",
        0,
    )
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for connection in list(connections):
            connection.abort()
        server.close()


@contextlib.asynccontextmanager
async def dialled(methods, *options, compression=None, **changes):
    """A channel to a server of ``methods``."""
    async with (
        serving(methods, **changes) as address,
        grpc.aio.insecure_channel(address, options=[*UNLIMITED, *options], compression=compression) as channel,
    ):
        yield channel


async def echo(data, call):
    return data


async def echoes(messages, call):
    async for message in messages:
        yield message


ECHOES = {"/s/One": unary(echo), "/s/Many": stream(echoes)}


@pytest.mark.parametrize("compression", grpc.Compression, ids=str)
@pytest.mark.parametrize("size", [0, 1, 1000, 200_000, 5_000_000])
@looped
async def test_messages_come_back(compression, size):
    data = bytes(range(250)) * (size // 250) if size > 250 else bytes(size)
    async with dialled(ECHOES, compression=compression) as channel:
        assert await channel.unary_unary("/s/One")(data, timeout=SECONDS) == data
        call = channel.stream_stream("/s/Many")(iter([data] * 3), timeout=SECONDS)
        assert [answer async for answer in call] == [data] * 3


@pytest.mark.parametrize("scratch", [100, 256 * 1024])
@looped
async def test_calls_that_come_mixed_keep_their_own_messages(scratch):
    sent = [bytes([number]) * (number * 1500) for number in range(60)]
    async with dialled(ECHOES, scratch=scratch) as channel:

        async def many(data):
            return [answer async for answer in channel.stream_stream("/s/Many")(iter([data] * 2), timeout=SECONDS)]

        ones = asyncio.gather(*(channel.unary_unary("/s/One")(data, timeout=SECONDS) for data in sent))
        assert await asyncio.gather(*map(many, sent)) == [[data] * 2 for data in sent]
        assert await ones == sent


@looped
async def test_sync_clients_are_served():
    async with serving(ECHOES) as address:

        def talk():
            with grpc.insecure_channel(address, options=UNLIMITED) as channel:
                one = channel.unary_unary("/s/One")(b"one", timeout=SECONDS)
                return one, list(channel.stream_stream("/s/Many")(iter([b"a", b"b"]), timeout=SECONDS))

        assert await asyncio.to_thread(talk) == (b"one", [b"a", b"b"])


@looped
async def test_large_answers_fit_through_small_windows():
    data = bytes(5_000_000)
    small = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0), ("grpc.http2.max_frame_size", 16_384)]
    async with dialled(ECHOES, *small) as channel:
        answers = await asyncio.gather(*(channel.unary_unary("/s/One")(data, timeout=SECONDS) for _ in range(4)))
        assert answers == [data] * 4


@looped
async def test_a_small_message_leaves_room_for_the_largest():
    limit = 100_000
    async with dialled(ECHOES, limit=limit) as channel:
        for first in (1, 10_000, 24_000):
            call = channel.stream_stream("/s/Many")(iter([bytes(first), bytes(limit)]), timeout=5)
            assert [len(answer) async for answer in call] == [first, limit]


@looped
async def test_messages_over_the_limit_are_refused():
    async with dialled(ECHOES, limit=1000) as channel:
        for call in (channel.unary_unary("/s/One")(bytes(1001)), channel.stream_unary("/s/Many")(iter([bytes(1001)]))):
            with pytest.raises(grpc.aio.AioRpcError, match="over the limit of 1000") as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await channel.unary_unary("/s/One")(bytes(1000), timeout=SECONDS) == bytes(1000)


@pytest.mark.parametrize("size", [2000, 1_000_000])
@looped
async def test_a_message_that_inflates_over_the_limit_is_refused(size):
    async with dialled(ECHOES, limit=1500, compression=grpc.Compression.Gzip) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/s/One")(bytes(size), timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


# ---- how calls end


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@looped
async def test_errors_have_their_code_and_text(code):
    text = f"no, 100 % – {code.name}\n"

    async def fails(data, call):
        call.trailing = [("x-why", "so")]
        raise Status(code, text)

    async def fails_late(messages, call):
        async for message in messages:
            yield message
            call.trailing = [("x-why", "so")]
            raise Status(code, text)

    async with dialled({"/s/One": unary(fails), "/s/Many": stream(fails_late)}) as channel:
        one = channel.unary_unary("/s/One")(b"", timeout=SECONDS)
        many = channel.stream_stream("/s/Many")(iter([b"a"]), timeout=SECONDS)
        assert await many.read() == b"a"
        for call in (one, many):
            assert (await call.code(), await call.details()) == (code, text)
            assert ("x-why", "so") in [tuple(each) for each in await call.trailing_metadata()]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InvalidRequest("not so"), grpc.StatusCode.INVALID_ARGUMENT, "not so"),
        (ZeroDivisionError("secret"), grpc.StatusCode.INTERNAL, "internal error"),
    ],
)
@looped
async def test_what_handlers_raise_is_the_status(error, code, text):
    async def fails(data, call):
        raise error

    async with dialled({"/s/One": unary(fails)}) as channel:
        call = channel.unary_unary("/s/One")(b"", timeout=SECONDS)
        assert (await call.code(), await call.details()) == (code, text)


@looped
async def test_a_handler_whose_work_was_cancelled_still_ends_its_call():
    async def fails(data, call):
        raise asyncio.CancelledError

    async with dialled({"/s/One": unary(fails)}) as channel:
        call = channel.unary_unary("/s/One")(b"", timeout=5)
        assert await call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)


@looped
async def test_an_unknown_method_is_unimplemented():
    async with dialled({}) as channel:
        assert await channel.unary_unary("/s/One")(b"").code() is grpc.StatusCode.UNIMPLEMENTED


class Waiting:
    """Handlers that wait until they are cancelled."""

    def __init__(self):
        self.began, self.cancelled, self.remaining = asyncio.Event(), asyncio.Event(), None

    async def one(self, data, call):
        self.remaining = call.time_remaining()
        self.began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def many(self, messages, call):
        yield await self.one(b"", call)


@pytest.mark.parametrize("path", ["/s/One", "/s/Many"])
@pytest.mark.parametrize("by", ["cancel", "close"])
@looped
async def test_who_gives_up_cancels_the_handler(path, by):
    waiting = Waiting()
    async with dialled({"/s/One": unary(waiting.one), "/s/Many": stream(waiting.many)}) as channel:
        call = channel.unary_unary(path)(b"")
        await waiting.began.wait()
        assert waiting.remaining is None
        if by == "cancel":
            call.cancel()
        else:
            await channel.close()
        await waiting.cancelled.wait()


@looped
async def test_the_handler_sees_the_deadline():
    waiting = Waiting()
    async with dialled({"/s/One": unary(waiting.one)}) as channel:
        call = channel.unary_unary("/s/One")(b"", timeout=0.5)
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        # What the client writes is rounded up to its own units, so it may be a little more than what was asked.
        assert 0 < waiting.remaining < 0.6
        await waiting.cancelled.wait()


@looped
async def test_metadata_and_caller_are_there():
    seen = {}

    async def handler(data, call):
        seen.update(call.metadata, peer=call.caller.host)
        return b""

    async with dialled({"/s/One": unary(handler)}) as channel:
        await channel.unary_unary("/s/One")(b"", metadata=[("x-a", "1"), ("x-a", "2"), ("x-bin", b"\0\xff")])
    assert (seen["x-a"], seen["x-bin"], seen["peer"]) == ("1,2", "\0\xff", "127.0.0.1")


# ---- who is slower


@looped
async def test_a_handler_does_not_run_ahead_of_a_slow_reader():
    sent = 0

    async def floods(messages, call):
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield bytes(100_000)

    async with dialled({"/s/Many": stream(floods)}) as channel:
        call = channel.unary_stream("/s/Many")(b"", timeout=SECONDS)
        assert len(await call.read()) == 100_000
        before = -1
        while before != sent:  # until it stands
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 500
        count = 1
        while await call.read() is not grpc.aio.EOF:
            count += 1
        assert count == sent == 1000


@looped
async def test_a_client_is_held_back_by_a_slow_handler():
    go_on = asyncio.Event()

    async def slow(messages, call):
        count = 0
        async for _ in messages:
            count += 1
            await go_on.wait()
        yield b"%d" % count

    wrote = 0
    async with dialled({"/s/Many": stream(slow)}, limit=100_000) as channel:
        call = channel.stream_unary("/s/Many")(timeout=SECONDS)

        async def write():
            nonlocal wrote
            for _ in range(200):
                await call.write(bytes(50_000))
                wrote += 1
            await call.done_writing()

        writing = asyncio.create_task(write())
        before = -1
        while before != wrote:
            before = wrote
            await asyncio.sleep(0.2)
        assert wrote < 100
        go_on.set()
        await writing
        assert await call == b"200"


# ---- what only frames can say


async def raw(address, data, *, fields=(), cut=None, path=b"/s/One"):
    """The fields at the end of the answer to a call with the octets ``data``, in frames of ``cut``."""
    async with h2.connected(address) as connection:
        pieces = [data] if cut is None else [data[at : at + cut] for at in range(0, len(data), cut)] or [b""]
        await connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.header_block(path, *fields)))
        await connection.send(b"".join(h2.frame(h2.DATA, 0, 1, piece) for piece in pieces))
        await connection.send(h2.frame(h2.DATA, h2.END_STREAM, 1))
        body = b""
        while (found := await connection.frame()) is not None:
            kind, flags, _, payload = found
            if kind == h2.DATA:
                body += payload
            if kind == h2.HEADERS and flags & h2.END_STREAM:
                return payload, body
    raise AssertionError("no answer")


def status(block):
    return int(block.split(b"grpc-status")[1][1:].split(b"\0")[0])


@pytest.mark.parametrize("cut", [None, 1, 3])
@pytest.mark.parametrize("path", [b"/s/One", b"/s/Many"])
@looped
async def test_a_message_may_come_in_pieces(cut, path):
    async with serving(ECHOES) as address:
        block, body = await raw(address, h2.message(b"in pieces"), cut=cut, path=path)
        assert (status(block), body) == (0, h2.message(b"in pieces"))


@pytest.mark.parametrize("cut", [None, 1])
@pytest.mark.parametrize("length", range(8))
@looped
async def test_a_message_cut_short_is_none(length, cut):
    async with serving(ECHOES) as address:
        block, body = await raw(address, h2.message(b"abc")[:length], cut=cut)
        assert (status(block), body) == (grpc.StatusCode.INTERNAL.value[0], b"")
        if length:
            block, body = await raw(address, h2.message(b"abc")[:length], cut=cut, path=b"/s/Many")
            assert (status(block), body) == (grpc.StatusCode.INTERNAL.value[0], b"")


@pytest.mark.parametrize("cut", [None, 1])
@looped
async def test_a_call_with_one_message_has_just_one(cut):
    async with serving(ECHOES) as address:
        for second in (b"x", h2.message(b""), h2.message(b"again")):
            block, body = await raw(address, h2.message(b"once") + second, cut=cut)
            assert (status(block), body) == (grpc.StatusCode.UNIMPLEMENTED.value[0], b"")


@pytest.mark.parametrize("path", [b"/s/One", b"/s/Many"])
@pytest.mark.parametrize(
    ("coding", "flag", "data", "code"),
    [
        (b"gzip", 1, gzip.compress(b"text"), 0),
        (b"deflate", 1, zlib.compress(b"text"), 0),
        (b"gzip", 0, b"text", 0),
        (b"gzip", 1, b"text", 13),
        (b"gzip", 1, gzip.compress(b"text")[:-3], 13),
        (b"identity", 1, gzip.compress(b"text"), 13),
        (b"gzip", 2, gzip.compress(b"text"), 13),
        (b"snappy", 1, b"text", 12),
    ],
)
@looped
async def test_compressed_messages(path, coding, flag, data, code):
    async with serving(ECHOES) as address:
        fields = [(b"grpc-encoding", coding)]
        block, body = await raw(address, h2.message(data, flag), fields=fields, path=path)
        assert status(block) == code
        assert body == (b"" if code else h2.message(b"text"))


@looped
async def test_answers_are_compressed_for_who_asks():
    data = bytes(100_000)
    async with serving(ECHOES) as address:
        _, body = await raw(address, h2.message(data), fields=[(b"accept-encoding", b"gzip")])
        assert body[0] == 1
        assert gzip.decompress(body[5:]) == data


@pytest.mark.filterwarnings("error")
@looped
async def test_a_call_that_is_given_up_at_once_leaves_nothing():
    async with serving(ECHOES) as address, h2.connected(address) as connection:
        block = h2.header_block(b"/s/One")
        for number in range(1, 200, 2):
            await connection.send(
                h2.frame(h2.HEADERS, h2.END_HEADERS, number, block)
                + h2.frame(h2.DATA, h2.END_STREAM, number, h2.message(b"x"))
                + h2.frame(h2.RESET, 0, number, (8).to_bytes(4, "big"))
            )
        assert status((await raw(address, h2.message(b"x")))[0]) == 0


@looped
async def test_a_request_that_does_not_end_in_time_is_told_so():
    async with serving(ECHOES, body_seconds=0.2) as address, h2.connected(address) as connection:
        await connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.header_block(b"/s/One")))
        await connection.send(h2.frame(h2.DATA, 0, 1, h2.message(b"abc")[:-1]))
        assert status(await connection.until(h2.HEADERS)) == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
        assert await connection.until(h2.RESET) == bytes(4)


@pytest.mark.parametrize("whole", [True, False], ids=["messages", "one message"])
@looped
async def test_a_client_that_sends_more_than_it_may_is_stopped(whole):
    async def never(messages, call):
        async for _ in messages:
            await asyncio.sleep(60)
        yield b""

    async with serving({"/s/Many": stream(never)}, limit=200_000) as address, h2.connected(address) as connection:
        await connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.header_block(b"/s/Many")))
        data = h2.message(bytes(1000)) if whole else h2.message(bytes(200_000))[:1005]
        for _ in range(300):
            await connection.send(h2.frame(h2.DATA, 0, 1, data))
        found = await connection.frame()
        while found[0] in (h2.WINDOW_UPDATE, h2.SETTINGS):
            found = await connection.frame()
        assert found[0] in (h2.HEADERS, h2.RESET, h2.GOAWAY)
