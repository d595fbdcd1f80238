"""Hostile input on the HTTP port: refused within the limits, in the door's own words, and the server goes on."""

import asyncio
import contextlib
import json
import tracemalloc

import pytest
import uvloop
from support.gateways import ENGINE, running, settings
from support.raw_http import connected, exchange, post
from support.tiny_store import make_store

from gateway.core.limits import Limits
from gateway.frontends.http_server import HTTPServer
from gateway.http1.reply import Reply

DOUBLE = "/v2/models/double/infer"
GOOD = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()
HEAD = f"POST {DOUBLE} HTTP/1.1\r\nHost: x\r\n".encode()
BODY_LIMIT = 1_000_000
LIMITS = {"body_bytes": BODY_LIMIT, "body_chunks": 1000}
QUICK = {**LIMITS, "head_seconds": 0.2, "body_seconds": 0.2, "connections": 3}
MEMORY = 8_000_000  # bytes that one attack may make the process hold, its own part of it included


@pytest.fixture(scope="module")
def loop():
    """Fails when anything in it failed unseen."""
    unseen = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
        yield runner
    assert unseen == []


@pytest.fixture(scope="module")
def gateways(loop, tmp_path_factory):
    """Addresses of a gateway, and of one with no patience."""
    store = make_store(tmp_path_factory.mktemp("store"))
    exits = contextlib.AsyncExitStack()

    async def start():
        _, usual = await exits.enter_async_context(running(settings(store, {"engine": ENGINE}, limits=LIMITS)))
        _, quick = await exits.enter_async_context(running(settings(store, {"engine": ENGINE}, limits=QUICK)))
        return usual["http"], quick["http"]

    yield loop.run(start())
    loop.run(exits.aclose())


@pytest.fixture
def address(gateways, loop):
    """The gateway's; after the test it must still answer, and hold no more memory than allowed."""
    tracemalloc.start()
    yield gateways[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    answer = loop.run(exchange(gateways[0], post(DOUBLE, GOOD)))
    assert (answer.status, answer.document["outputs"][0]["data"]) == (200, [2.0, 4.0])
    assert peak < MEMORY


@pytest.fixture
def impatient(gateways, loop):
    yield gateways[1]
    assert loop.run(exchange(gateways[1], post(DOUBLE, GOOD))).status == 200


def chunked(*chunks):
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


# what is no HTTP is refused in plain text, and the connection closes


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: +2\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
        (HEAD + b"Content-Length : 2\r\n\r\n{}", 400),
        (HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", 400),  # folded
        (HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n", 400),
        (HEAD + b"no colon\r\n\r\n", 400),
        (chunked(b"-1\r\n"), 400),
        (chunked(b"0x2\r\n{}\r\n0\r\n\r\n"), 400),
        (chunked(b"g\r\n"), 400),
        (chunked(b"ffffffffffffffffff\r\n"), 400),
        (chunked(b"2\r\n{}{}\r\n"), 400),
        (chunked(b"2\n{}\n0\n\n"), 400),
        (chunked(b"1\r\n{\r\n" * 1001), 413),
        (chunked(b"2\r\n{}\r\n", b"0\r\n", b"X: " + b"a" * 100_000 + b"\r\n\r\n"), 431),  # a trailer
        (HEAD + b"".join(b"%d:\r\n" % number for number in range(10_000)) + b"\r\n", 431),
        (HEAD + b"X: " + b"a" * 70_000, 431),
        (b"\r\n" * 40_000, 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /v2?" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /v2\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2/models/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2 HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"BREW /v2 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"get /v2 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),  # TLS
        (bytes(range(256)) * 100, 400),
    ],
)
def test_what_is_no_proper_http_is_refused_and_the_connection_closed(loop, address, request_bytes, status):
    async def send():
        async with connected(address) as connection:
            await connection.send(request_bytes)
            return await connection.answers()

    (answer,) = loop.run(send())
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert answer.headers["content-type"].startswith("text/plain")


# what is HTTP is answered in the door's words

MODEL = '{"inputs": [%s]}'
INPUT = '{"name": "x", "datatype": "FP32", "shape": %s, "data": %s}'


def one(shape="[1, 2]", data="[1, 2]"):
    return (MODEL % (INPUT % (shape, data))).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        one(data="[" * 100_000 + "]" * 100_000),
        one(shape="[4294967296, 4294967296]"),
        one(shape="[9223372036854775807, 9223372036854775807, 9223372036854775807]"),
        one(shape="[99999999999999999999999999]"),
        one(shape=f"[{'1,' * 100_000}1]"),
        one(shape="[-1, 2]"),
        one(shape="[-1, -2]"),
        one(shape="[1.5, 2]"),
        one(shape="[]"),
        one(shape="null"),
        one(data='"1"'),
        one(data="[1e999999, 2]"),
        one(data="[" + "9" * 100_000 + ", 2]"),
        (MODEL % ", ".join([INPUT % ("[1, 2]", "[1, 2]")] * 2)).encode(),
        (MODEL % ", ".join([INPUT % ("[1, 2]", "[1, 2]")] * 5000)).encode(),
        one().replace(b'"x"', b'"x\\u0000"'),
        one().replace(b'"x"', b'"\\ud800"'),
        one().replace(b'"x"', b'"' + b"n" * 500_000 + b'"'),
        one().replace(b'"x"', b'"\xff\xfe"'),
        one().replace(b"FP32", b"\0"),
        b"\xef\xbb\xbf" + one(),
        b"\0",
        b"",
        b"null",
        b"[]",
        b"NaN",
        b'{"inputs": {}}',
    ],
)
def test_hostile_documents_are_refused(loop, address, body):
    answer = loop.run(exchange(address, post(DOUBLE, body)))
    assert answer.status in (400, 413)
    assert len(answer.document["error"]) < 1000
    tfs = loop.run(exchange(address, post("/v1/models/double:predict", body)))
    assert tfs.status == 400
    assert len(tfs.document["error"]) < 1000


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/double%00/infer",
        "/v2/models/%ff%fe/infer",
        "/v2/models/..%2f..%2fetc%2fpasswd/infer",
        "/v2/models/%2e%2e/infer",
        "/v2/models/double/versions/..%2f1/infer",
        "/v2/models/double/versions/%00/infer",
        "/v2/models/double/versions/99999999999999999999/infer",
        "/v2/models/double/../double/infer",
        "/v2/models/./double/infer",
        "/v2//models/double/infer",
        "/v2/models//infer",
        "/v2/models/double/infer/%2e%2e",
        "/V2/models/double/infer",
        "/v2/models/" + "a" * 50_000 + "/infer",
        "/v2/models/" + "%41" * 15_000 + "/infer",
        "/v2/models/double;x=1/infer",
        "/v2\\models\\double\\infer",
    ],
)
def test_path_tricks_find_nothing(loop, address, path):
    answer = loop.run(exchange(address, post(path, GOOD)))
    assert answer.status == 404
    assert len(answer.document["error"]) < 1000
    assert "/root" not in answer.document["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/double%00:predict",
        "/v1/models/..%2fdouble:predict",
        "/v1/models/double/versions/-1:predict",
        "/v1/models/double/versions/99999999999999999999:predict",
        "/v1/models/double/labels/%00:predict",
        "/predictions/..%2fdouble",
        "/predictions/%00",
        "/predictions/double/%2e%2e",
        "//v2/models/double/infer",
    ],
)
def test_path_tricks_find_nothing_behind_the_other_doors(loop, address, path):
    answer = loop.run(exchange(address, post(path, b'{"instances": [[1, 2]]}')))
    assert answer.status in (400, 404)
    assert answer.headers["content-type"] == "application/json"


def test_an_absolute_address_names_the_same_operation(loop, address):
    answer = loop.run(exchange(address, post(f"http://elsewhere{DOUBLE}", GOOD)))
    assert answer.status == 200


@pytest.mark.parametrize("path", ["*", "/", "/nothing", "/%", "/%zz", "/v2/%%%", "?", "/?", "/#", "/v2#/models"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "TRACE", "PATCH", "PROPFIND"])
def test_every_method_on_every_strange_path_gets_an_answer(loop, address, path, method):
    answer = loop.run(exchange(address, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))
    assert answer.status in (200, 400, 404, 405)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Inference-Header-Content-Length: -1", 400),
        (b"Inference-Header-Content-Length: 99999999999999999999", 400),
        (b"Inference-Header-Content-Length: 1\r\nInference-Header-Content-Length: 86", 400),
        (b"Inference-Header-Content-Length: \xb2", 400),
        (b"X-Gateway-Timeout-Ms: 1e400", 400),
        (b"X-Gateway-Timeout-Ms: nan", 400),
        (b"X-Gateway-Timeout-Ms: \xff", 400),
        (b"X-Gateway-Backend: " + b"b" * 50_000, 400),
        (b"X-Gateway-Backend: \xff", 400),
        (b"Content-Encoding: " + b"gzip," * 5_000, 501),
        (b"Transfer-Encoding: gzip, chunked\r\nX-None: ", None),
        (b"Content-Type: text/html", 200),
        (b"Content-Type: multipart/form-data; boundary=" + b"b" * 10_000, 200),
        (b"Content-Type: \xff", 200),
        (b"Accept-Encoding: " + b"gzip;q=0.1," * 5_000, 200),
        (b"Traceparent: " + b"0" * 50_000, 200),
        (b"Cookie: " + b"a=b; " * 5_000, 200),
        (b"Expect: something", 200),
    ],
)
def test_hostile_headers(loop, address, line, status):
    answer = loop.run(exchange(address, post(DOUBLE, GOOD, line)))
    if status is None:  # both a length and a transfer coding
        status = 400
    else:
        assert answer.headers["content-type"] == "application/json"
    assert answer.status == status
    assert len(answer.body) < 1000


def test_a_transfer_coding_that_nobody_undoes_is_refused(loop, address):
    answer = loop.run(exchange(address, HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"))
    assert (answer.status, "Transfer-Encoding" in answer.document["error"]) == (501, True)


def test_chunks_may_be_tiny_and_carry_extensions(loop, address):
    tiny = [b'1;a="b;\\"c"\r\n%c\r\n' % byte for byte in GOOD]
    assert loop.run(exchange(address, chunked(*tiny, b"0\r\n\r\n"))).status == 200


# bodies that are too large


def test_an_announced_body_over_the_limit_is_refused_unread(loop, address):
    answer = loop.run(exchange(address, HEAD + b"Content-Length: 100000000000\r\n\r\n"))
    assert (answer.status, "over the limit of 1000000" in answer.document["error"]) == (413, True)


def test_a_body_without_end_is_refused_at_the_limit(loop, address):
    async def send():
        async with connected(address) as connection:
            await connection.send(chunked())
            piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
            for _ in range(40):
                await connection.send(piece)
            return await connection.answer()

    answer = loop.run(send())
    assert (answer.status, answer.document) == (413, {"error": "body: over the limit of 1000000 bytes"})


def test_the_client_that_sends_everything_first_still_gets_the_refusal(loop, address):
    async def send():
        async with connected(address) as connection:
            body = bytes(3 * BODY_LIMIT)
            await connection.send(post(DOUBLE, body))
            refused = await connection.answer()
            await connection.send(post(DOUBLE, GOOD))  # the connection is still good
            return refused, await connection.answer()

    refused, good = loop.run(send())
    assert (refused.status, good.status) == (413, 200)


# connections that are not what they seem


def test_a_half_closed_client_gets_its_answer(loop, address):
    async def send():
        async with connected(address) as connection:
            await connection.send(post(DOUBLE, GOOD) + post(DOUBLE, GOOD) + post("/v1/models/double:predict", b"{}"))
            connection.writer.write_eof()
            return await connection.answers()

    assert [answer.status for answer in loop.run(send())] == [200, 200, 400]


@pytest.mark.parametrize("sent", [b"", b"POST", HEAD, HEAD + b"Content-Length: 5\r\n\r\n", chunked(b"5\r\n{")])
def test_a_client_that_leaves_in_the_middle_is_forgotten(loop, address, sent):
    async def send():
        async with connected(address) as connection:
            await connection.send(sent)
            connection.writer.write_eof()
            return await connection.answers()

    assert loop.run(send()) == []


def test_a_reset_in_the_middle_of_an_answer_harms_nobody(loop, address):
    async def send():
        for _ in range(50):
            async with connected(address) as connection:
                await connection.send(post(DOUBLE, GOOD) * 20)
                connection.writer.transport.abort()

    loop.run(send())


def test_pipelined_requests_are_answered_in_order(loop, address):
    async def send():
        async with connected(address) as connection:
            await connection.send(b"".join(post(f"/v2/models/m{number}/infer", GOOD) for number in range(100)))
            return [await connection.answer() for _ in range(100)]

    answers = loop.run(send())
    assert [answer.status for answer in answers] == [404] * 100
    assert all(f"'m{number}'" in answer.document["error"] for number, answer in enumerate(answers))


def test_a_flood_of_pipelined_requests_ends_the_connection(loop, address):
    async def send():
        async with connected(address) as connection:
            for _ in range(100):
                await connection.send(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
            count = 0
            while await connection.answer() is not None:
                count += 1
            return count

    assert loop.run(send()) < 200_000


def test_rubbish_after_a_request_does_not_become_its_answer(loop, address):
    async def send():
        async with connected(address) as connection:
            await connection.send(post(DOUBLE, GOOD) + b"rubbish\r\n\r\n")
            return await connection.answers()

    assert [answer.status for answer in loop.run(send())] == [200]


def test_expect_100_continue_is_obeyed(loop, address):
    async def send():
        async with connected(address) as connection:
            await connection.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GOOD))
            first = await connection.answer()
            await connection.send(GOOD)
            return first.status, (await connection.answer()).status

    assert loop.run(send()) == (100, 200)


def test_a_refused_expectation_closes_the_connection(loop, address):
    async def send():
        async with connected(address) as connection:
            await connection.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 10000000\r\n\r\n")
            return await connection.answers()

    assert [answer.status for answer in loop.run(send())] == [413]


def test_http_1_0_gets_an_answer_and_the_end(loop, address):
    async def send():
        async with connected(address) as connection:
            await connection.send(post(DOUBLE, GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"))
            return await connection.answers()

    assert [answer.status for answer in loop.run(send())] == [200]


def test_head_has_the_head_of_get(loop, address):
    get = loop.run(exchange(address, b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"))
    head = loop.run(exchange(address, b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n", bodiless=True))
    assert (head.status, head.headers["content-length"]) == (get.status, str(len(get.body)))


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"nonsense"])
def test_a_wish_for_another_protocol_is_not_heard(loop, address, protocol):
    wish = [
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: " + protocol,
        b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    ]

    async def send():
        async with connected(address) as connection:
            answers = []
            for request in (post(DOUBLE, GOOD, *wish), post(DOUBLE, b"", *wish), post(DOUBLE, GOOD)):
                await connection.send(request)
                answers.append(await connection.answer())
            return [answer.status for answer in answers]

    assert loop.run(send()) == [200, 400, 200]


# slow ones


def test_a_head_that_does_not_end_is_given_up(loop, impatient):
    async def send():
        async with connected(impatient) as connection:
            await connection.send(HEAD)
            dripping = asyncio.create_task(drip(connection, b"X: a\r\n"))
            answers = await connection.answers()
            dripping.cancel()
            return answers

    (answer,) = loop.run(send())
    assert (answer.status, answer.headers["connection"]) == (408, "close")


@pytest.mark.parametrize("path", [DOUBLE, "/v1/models/double:predict", "/predictions/double"])
def test_a_body_that_does_not_end_is_given_up_in_the_doors_words(loop, impatient, path):
    async def send():
        async with connected(impatient) as connection:
            await connection.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n".encode())
            dripping = asyncio.create_task(drip(connection, b"{"))
            answer = await connection.answer()
            dripping.cancel()
            return answer

    answer = loop.run(send())
    assert answer.status == 408
    assert "body: not complete within 0.2 s" in str(answer.document)


async def drip(connection, piece):
    while True:
        await connection.send(piece)
        await asyncio.sleep(0.02)


def test_a_refused_body_is_not_read_for_ever(loop, impatient, monkeypatch):
    monkeypatch.setattr("gateway.http1.connection._DISCARD", 0.1)

    async def send():
        async with connected(impatient) as connection:
            await connection.send(HEAD + b"Content-Length: 100000000000\r\n\r\n")
            dripping = asyncio.create_task(drip(connection, b"{"))
            answers = await connection.answers()
            dripping.cancel()
            return answers

    assert [answer.status for answer in loop.run(send())] == [413]


def test_a_connection_that_says_nothing_is_closed_in_the_end(loop):
    async def app(request):
        raise AssertionError("nothing was asked")

    async def wait():
        server = HTTPServer(app, drain_timeout=1, limits=Limits(), keep_alive=0.1)
        port = server.bind("127.0.0.1", 0)
        await server.start()
        async with connected(f"127.0.0.1:{port}") as connection:
            answers = await connection.answers()
        await server.stop()
        return answers

    assert loop.run(wait()) == []


def test_too_many_connections_are_turned_away(loop, impatient):
    async def send():
        async with contextlib.AsyncExitStack() as exits:
            held = [await exits.enter_async_context(connected(impatient)) for _ in range(3)]
            for connection in held:  # all are accepted by now
                await connection.send(post(DOUBLE, GOOD))
                assert (await connection.answer()).status == 200
            turned_away = await exits.enter_async_context(connected(impatient))
            answers = await turned_away.answers()
            await held[0].send(post(DOUBLE, GOOD))
            return answers, (await held[0].answer()).status

    answers, status = loop.run(send())
    assert [answer.status for answer in answers] == [503]
    assert status == 200


def test_a_client_that_does_not_take_its_answer_is_given_up(loop):
    sent = asyncio.Event()

    async def app(request):
        sent.set()
        return Reply(bytes(50_000_000), [])

    async def wait():
        server = HTTPServer(app, drain_timeout=1, limits=Limits(body_seconds=0.2))
        port = server.bind("127.0.0.1", 0)
        await server.start()
        async with connected(f"127.0.0.1:{port}") as connection:
            connection.writer.transport.pause_reading()
            await connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await sent.wait()
            while server.open_connections:
                await asyncio.sleep(0.02)
        await server.stop()

    loop.run(asyncio.wait_for(wait(), 20))
