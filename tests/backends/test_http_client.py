"""The data path's HTTP client against servers that answer in every legal way, and in some that are not."""

import asyncio
import shutil
import socket
import ssl
import subprocess

import pytest
import uvloop

from gateway.backends.http_client import HTTPClient
from gateway.core.errors import BackendError, DeadlineExceeded, Unavailable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: v\r\n\r\nok"


class Server:
    """Answers each request with the next of ``answers``; notes requests and connections."""

    def __init__(self, *answers, close=False):
        self.answers = list(answers)
        self.close = close
        self.requests = []
        self.connections = 0
        self.released = asyncio.Event()

    async def handle(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    await self.released.wait()
                    return
                for part in answer if isinstance(answer, list) else [answer]:
                    writer.write(part)
                    await writer.drain()
                if self.close:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def run(server, use, **options):
    """Run ``use(client)`` against ``server``."""

    async def main():
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        client = HTTPClient("b", f"http://127.0.0.1:{port}", timeout=options.get("timeout", 5.0), max_body=100)
        try:
            return await use(client)
        finally:
            server.released.set()
            await client.close()
            listening.close()

    return uvloop.run(main())


async def post(client):
    return await client.post("/p", b"body", {"X-A": "b"})


def test_of_a_header_that_comes_twice_the_last_one_counts():
    answer = run(Server(b"HTTP/1.1 200 OK\r\nX-Name: v\r\nx-name: w\r\nContent-Length: 0\r\n\r\n"), post)
    assert (answer.header(b"x-name"), answer.header(b"x-other")) == ("w", None)


def test_a_request_is_well_formed_and_its_answer_is_read():
    server = Server(OK)
    answer = run(server, post)
    assert (answer.status, answer.header(b"x-name"), answer.body) == (200, "v", b"ok")
    (sent,) = server.requests
    assert sent.startswith(b"POST /p HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody" in sent


def test_connections_are_used_again():
    server = Server(OK, OK, OK)

    async def use(client):
        for _ in range(3):
            await post(client)

    run(server, use)
    assert server.connections == 1


def test_a_connection_is_not_used_again_after_an_unforeseen_failure():
    server = Server(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", OK)

    async def twice(client):
        return [(await post(client)).status, (await post(client)).status]

    assert run(server, twice) == [500, 200]
    assert server.connections == 2  # the server may be about to close the first, as uvicorn does


def test_requests_side_by_side_have_connections_of_their_own():
    server = Server(OK, OK, OK)

    async def use(client):
        await asyncio.gather(*(post(client) for _ in range(3)))

    run(server, use)
    assert server.connections == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        [OK[:5], OK[5:30], OK[30:]],
        [OK[:-1], OK[-1:]],
    ],
)
def test_legal_ways_to_answer(answer):
    server = Server(answer, OK)

    async def use(client):
        first = await post(client)
        return first, await post(client)

    first, second = run(server, use)
    assert first.body == second.body == b"ok"
    assert server.connections == 1


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
def test_an_answer_that_ends_the_connection(head):
    server = Server(head + b"ok", head + b"ok", close=True)

    async def use(client):
        return [(await post(client)).body for _ in range(2)]

    assert run(server, use) == [b"ok", b"ok"]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "error", "problem"),
    [
        (b"SMTP hello\r\n\r\n", BackendError, "no valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", BackendError, "no valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200, BackendError, "over 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Unavailable, "closed the connection"),
        (b"", Unavailable, "closed the connection"),
    ],
)
def test_a_broken_answer_is_an_error_and_the_next_request_works(answer, error, problem):
    server = Server(answer, OK, close=True)

    async def use(client):
        with pytest.raises(error, match=problem):
            await post(client)
        return await post(client)

    assert run(server, use).body == b"ok"


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next():
    server = Server(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", OK)

    async def use(client):
        return [(await post(client)).body for _ in range(2)]

    assert run(server, use) == [b"ok", b"ok"]
    assert server.connections == 2


def test_a_connection_that_the_server_closed_while_idle_is_not_used():
    server = Server(OK, OK, close=True)

    async def use(client):
        await post(client)
        async with asyncio.timeout(5):
            while any(connection.reusable for connection in client._idle):
                await asyncio.sleep(0)
        return await post(client)

    assert run(server, use).body == b"ok"


def test_a_machine_that_is_gone_does_not_hold_a_request_for_ever():
    async def use(client):
        await post(client)
        (connection,) = client._idle
        there = connection._transport.get_extra_info("socket")
        return [
            there.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            there.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            there.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        ]

    assert run(Server(OK), use) == [1, 5, 10_000]


def test_a_request_that_is_given_up_takes_its_connection_with_it():
    server = Server(None, OK)

    async def use(client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await post(client)
        return await post(client)

    assert run(server, use).body == b"ok"
    assert server.connections == 2


def test_a_server_that_hangs_runs_into_the_time_limit():
    async def use(client):
        with pytest.raises(DeadlineExceeded):
            await post(client)

    run(Server(None), use, timeout=0.05)


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """Key and certificate of a server called ``servers``, which this process trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    named = ["-subj", "/CN=servers", "-addext", "subjectAltName=DNS:servers"]
    made = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key, "-out", file]
    subprocess.run(["openssl", "req", "-x509", *named, *made], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file, key


def test_a_server_at_a_given_address_keeps_its_name_in_tls_and_http(certificate):
    server, called = Server(OK), []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda _, name, __: called.append(name)

    async def main():
        listening = await asyncio.start_server(server.handle, "127.0.0.2", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        url, hosts = f"https://servers:{port}", {"servers": "127.0.0.2"}
        client = HTTPClient("b", url, timeout=5, max_body=100, hosts=hosts)
        assert (await post(client)).body == b"ok"
        await client.close()
        listening.close()
        assert called == ["servers"]
        assert f"Host: servers:{port}".encode() in server.requests[0]

    uvloop.run(main())
