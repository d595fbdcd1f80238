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
from gateway.frontends.asgi import ClientDisconnected, read_body, respond
from gateway.frontends.http_protocol import GatewayHTTPProtocol
from gateway.frontends.http_receiver import READ_AT_ONCE
from gateway.frontends.http_server import HTTPServer

LIMITS = Limits(body_bytes=2_000_000)


async def digest(scope, receive, send):
    """Answers with what it has read; reads nothing for /unread."""
    body = b""
    if scope["path"] != "/unread":
        body = await read_body(scope, receive, dict(scope["headers"]), LIMITS)
    await respond(send, 200, hashlib.sha256(body).hexdigest().encode(), [])


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

    async def app(scope, receive, send):
        try:
            await digest(scope, receive, send)
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
    on_body = GatewayHTTPProtocol.on_body

    def noted(self, body):
        through_the_parser.append(len(body))
        on_body(self, body)

    monkeypatch.setattr(GatewayHTTPProtocol, "on_body", noted)
    async with served(digest) as address, connected(address) as connection:
        await connection.send(request(1_900_000))
        assert (await connection.answer()).body == answer_to(1_900_000)
    assert 0 < sum(through_the_parser) <= 2 * READ_AT_ONCE
