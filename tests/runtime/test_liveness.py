"""What counts as an answer of a server that is asked whether it runs: small servers that answer in odd ways."""

import asyncio
import errno
import socket

import aiohttp
import pytest

from gateway.runtime import hanging, liveness

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(hanging, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(hanging, "HUNG_SECONDS", 0.3)
    monkeypatch.setattr(liveness, "_ASK_SECONDS", 0.1)


class OddServer:
    """Gives ``answer`` to each request, and closes where that is empty; None is no answer at all."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0
        self.connections = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        self._server.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/livez"

    async def _serve(self, reader, writer):
        self.connections += 1
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            self.asked += 1
            if self.answer == b"":
                break
            if self.answer is not None:
                writer.write(self.answer)
        writer.close()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", b"what?\r\n\r\n", b""])
def test_whatever_comes_back_is_a_sign_of_life(answer):
    async def scenario():
        async with OddServer(answer) as server:
            silent = asyncio.ensure_future(liveness.until_silent(server.url))
            await until(lambda: server.asked > 50 or silent.done())  # many more than until it would be over
            assert not silent.done()
            silent.cancel()

    asyncio.run(scenario())


def test_a_connection_is_used_again():
    async def scenario():
        async with OddServer(OK) as server:
            silent = asyncio.ensure_future(liveness.until_silent(server.url))
            await until(lambda: server.asked > 5)
            assert server.connections == 1
            silent.cancel()

    asyncio.run(scenario())


def test_no_answer_is_silence():
    async def scenario():
        async with OddServer(None) as server, asyncio.timeout(20):
            await liveness.until_silent(server.url)
            assert server.asked >= 2  # one question that is lost is not enough

    asyncio.run(scenario())


def test_a_port_where_nobody_listens_is_silence():
    async def scenario():
        async with asyncio.timeout(20):
            await liveness.until_silent(url)

    with socket.socket() as bound:  # taken, so that nobody else comes to listen there
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/livez"
        asyncio.run(scenario())


def test_trouble_of_its_own_is_not_held_against_the_server(monkeypatch):
    asked = []

    async def no_descriptor(*_, **__):
        asked.append(1)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(aiohttp.connector.aiohappyeyeballs, "start_connection", no_descriptor)

    async def scenario():
        silent = asyncio.ensure_future(liveness.until_silent("http://127.0.0.1:9/livez"))
        await until(lambda: len(asked) > 50 or silent.done())
        assert not silent.done()
        silent.cancel()

    asyncio.run(scenario())
