"""Bodies of all lengths through real connections, of which large ones pass the parser by."""

import asyncio
import contextlib
import hashlib

import pytest
import uvloop
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from support.looped import looped
from support.raw_http import connected

from gateway.core.limits import Limits
from gateway.frontends.http_server import HTTPServer
from gateway.http1.client import ClientDisconnected
from gateway.http1.reader import RequestReader
from gateway.http1.reply import Reply
from gateway.http1.serving import READ_AT_ONCE

LIMITS = Limits(body_bytes=2_000_000)


async def digest(request):
    """Answers with what it has read; reads nothing for /unread."""
    body = b"" if request.path == "/unread" else await request.body(LIMITS)
    return Reply(hashlib.sha256(body).hexdigest().encode(), [])


@contextlib.asynccontextmanager
async def served(app):
    server = HTTPServer(app, drain_timeout=1, limits=LIMITS)
    port = server.bind("127.0.0.1", 0)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop()


def body_of(size):
    return (b"%d," % size * (size // 2 + 1))[:size]


def request(size, *, chunked=False, path="/"):
    head, body = b"POST %s HTTP/1.1\r\nHost: x\r\n" % path.encode(), body_of(size)
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % size + body
    chunks = [body[at : at + 50_000] for at in range(0, size, 50_000)]
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    )


def answer_to(size):
    return hashlib.sha256(body_of(size)).hexdigest().encode()


@pytest.fixture(scope="module", params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def server(request):
    """Runs coroutines on the loop of a server that answers with digests; with its address."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        exits = contextlib.AsyncExitStack()
        yield runner.run, runner.run(exits.enter_async_context(served(digest)))
        runner.run(exits.aclose())


SIZES = st.one_of(
    st.integers(0, 200),
    st.integers(READ_AT_ONCE - 200, READ_AT_ONCE + 200),  # the head takes a part of what is read at once
    st.integers(2 * READ_AT_ONCE - 200, 2 * READ_AT_ONCE + 200),
    st.integers(0, 1_000_000),
)


@effort(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_requests_in_a_row_are_answered_each_with_its_own_body(server, data):
    run, address = server
    uploads = data.draw(st.lists(st.tuples(SIZES, st.booleans()), min_size=1, max_size=5))
    stream = b"".join(request(size, chunked=chunked) for size, chunked in uploads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))

    async def send():
        async with connected(address) as connection:
            for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
                await connection.send(stream[begin:end])
                await asyncio.sleep(0)
            return [(await connection.answer()).body for _ in uploads]

    assert run(send()) == [answer_to(size) for size, _ in uploads]


def test_a_large_body_that_nobody_reads_is_thrown_away_and_the_connection_lives(server):
    run, address = server

    async def send():
        async with connected(address) as connection:
            await connection.send(request(1_500_000, path="/unread") + request(300_000))
            return [(await connection.answer()).body for _ in range(2)]

    assert run(send()) == [answer_to(0), answer_to(300_000)]


@pytest.mark.parametrize("sent", [0, 1, READ_AT_ONCE, 500_000, 999_999])
@looped
async def test_a_client_that_leaves_within_a_large_body_is_noticed(sent):
    noticed = asyncio.get_running_loop().create_future()

    async def app(request):
        try:
            return await digest(request)
        except ClientDisconnected:
            noticed.set_result(True)
            raise

    async with served(app) as address, connected(address) as connection:
        await connection.send(request(1_000_000)[: sent - 1_000_000])
        connection.writer.close()
        assert await noticed


@looped
async def test_the_body_is_read_to_where_it_stays(monkeypatch):
    through_the_parser = []
    on_body = RequestReader.on_body

    def noted(self, body):
        through_the_parser.append(len(body))
        on_body(self, body)

    monkeypatch.setattr(RequestReader, "on_body", noted)
    async with served(digest) as address, connected(address) as connection:
        await connection.send(request(1_900_000))
        assert (await connection.answer()).body == answer_to(1_900_000)
    assert 0 < sum(through_the_parser) <= 2 * READ_AT_ONCE


# the order of answers, and who is given up


@contextlib.asynccontextmanager
async def client_of(app, **options):
    """A client of a server with ``app``, and the server."""
    server = HTTPServer(app, **{"drain_timeout": 1, "limits": LIMITS, **options})
    port = server.bind("127.0.0.1", 0)
    await server.start()
    async with connected(f"127.0.0.1:{port}") as connection:
        yield connection, server
    await server.stop()


@looped
async def test_pipelined_requests_are_answered_one_after_the_other():
    under_way, most = 0, 0

    async def app(request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return Reply(request.path.encode(), [])

    async with client_of(app) as (connection, _):
        await connection.send(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(200)))
        assert [(await connection.answer()).body for _ in range(200)] == [b"/%d" % number for number in range(200)]
    assert most == 1


@looped
async def test_nobody_makes_answers_pile_up_that_he_does_not_read():
    answered = 0

    async def app(request):
        nonlocal answered
        answered += 1
        return Reply(bytes(1_000_000), [])

    async with client_of(app) as (connection, _):
        connection.writer.transport.pause_reading()
        await connection.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
        before = -1
        while answered != before:  # until nothing happens any more
            before = answered
            await asyncio.sleep(0.05)
        assert answered < 20
        connection.writer.transport.resume_reading()
        for _ in range(100):
            assert len((await connection.answer()).body) == 1_000_000


@looped
async def test_what_goes_wrong_unforeseen_is_an_answer_and_the_end():
    async def app(request):
        if request.path == "/header":
            return Reply(b"", [(b"a", b"b\r\nc: d")])
        raise KeyError("unforeseen")

    for path in (b"/header", b"/else"):
        async with client_of(app) as (connection, _):
            await connection.send(b"GET %b HTTP/1.1\r\n\r\n" % path)
            (answer,) = await connection.answers()
            assert (answer.status, answer.body) == (500, b"Internal Server Error")
            assert answer.headers["connection"] == "close"


@looped
async def test_the_answer_to_head_has_no_body():
    async with client_of(digest) as (connection, _):
        await connection.send(b"HEAD / HTTP/1.1\r\n\r\n" + request(10))
        first = await connection.answer(bodiless=True)
        assert (first.headers["content-length"], (await connection.answer()).body) == ("64", answer_to(10))


@pytest.mark.parametrize("asks", [True, False])
@looped
async def test_a_client_that_expects_a_word_gets_it_before_it_sends_the_body(asks):
    async with client_of(digest) as (connection, _):
        path = b"/" if asks else b"/unread"
        await connection.send(b"POST %b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n" % path)
        if not asks:
            assert [answer.status for answer in await connection.answers()] == [200]
            return
        assert (await connection.answer()).status == 100
        await connection.send(body_of(10) + request(20))
        assert [(await connection.answer()).body for _ in range(2)] == [answer_to(10), answer_to(20)]


@looped
async def test_a_stopping_server_answers_what_was_asked_and_closes():
    asked, may = asyncio.Event(), asyncio.Event()

    async def app(request):
        asked.set()
        await may.wait()
        return Reply(b"well", [])

    async with client_of(app, drain_timeout=10) as (connection, server):
        async with connected(connection_address(connection)) as idle:
            await connection.send(b"GET / HTTP/1.1\r\n\r\n")
            await asked.wait()
            stopping = asyncio.create_task(server.stop())
            assert await idle.answers() == []
            may.set()
            (answer,) = await connection.answers()
            assert (answer.body, answer.headers["connection"]) == (b"well", "close")
            await stopping
            assert server.open_connections == 0


@looped
async def test_a_stopping_server_does_not_wait_for_ever():
    asked = asyncio.Event()

    async def app(request):
        asked.set()
        await asyncio.get_running_loop().create_future()

    async with client_of(app, drain_timeout=0.05) as (connection, server):
        await connection.send(b"GET / HTTP/1.1\r\n\r\n")
        await asked.wait()
        stopping = asyncio.create_task(server.stop())
        (answer,) = await connection.answers()
        assert (answer.status, answer.body) == (503, b"The server is stopping.")
        await stopping


@looped
async def test_not_even_for_who_does_not_let_himself_be_given_up():
    asked, may = asyncio.Event(), asyncio.Event()

    async def app(request):
        asked.set()
        while not may.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may.wait()
        return Reply(b"", [])

    async with client_of(app, drain_timeout=0.05) as (connection, server):
        await connection.send(b"GET / HTTP/1.1\r\n\r\n")
        await asked.wait()
        await server.stop()
        assert await connection.answers() == []
        may.set()


@looped
async def test_only_who_is_idle_is_closed():
    may = asyncio.Event()

    async def app(request):
        await may.wait()
        return Reply(b"", [])

    async with client_of(app, keep_alive=0.1) as (connection, server):
        async with connected(connection_address(connection)) as idle:
            await connection.send(b"GET / HTTP/1.1\r\n\r\n")
            assert await idle.answers() == []
        while server.open_connections > 1:
            await asyncio.sleep(0.01)
        may.set()
        assert (await connection.answer()).status == 200
        assert await connection.answers() == []  # idle by now


def connection_address(connection):
    return "{}:{}".format(*connection.writer.get_extra_info("peername"))
