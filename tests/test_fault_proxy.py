"""The proxy that the tests of faults stand on, each fault in virtual time; the server says everything twice."""

import asyncio
import contextlib

import pytest
from support import fault_proxy
from support.fault_proxy import Delay, Drip, FaultProxy, HalfClose, Hang, Pass, Refuse, Reset
from support.virtual_time import run_virtual


async def twice(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1000):
            writer.write(data * 2)
    writer.close()


def through(scenario, serve=twice):
    """Run ``scenario`` with a proxy in front of a server."""

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with FaultProxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
            result = await scenario(proxy)
        server.close()
        return result

    return run_virtual(run())


async def connect(proxy):
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def ask(proxy, data=b"abc"):
    """The first 6 bytes of what comes back."""
    reader, writer = await connect(proxy)
    writer.write(data)
    try:
        return await reader.readexactly(6)
    finally:
        writer.close()


def test_it_passes_and_counts():
    async def scenario(proxy):
        assert await ask(proxy) == b"abcabc"
        reader, writer = await connect(proxy)
        for _ in range(2):
            writer.write(b"xyz")
            assert await reader.readexactly(6) == b"xyzxyz"
        await proxy.until(lambda: len(proxy.links) == 1)  # the first one is gone
        writer.close()
        await proxy.until(lambda: not proxy.links)
        return proxy.connections, proxy.received, proxy.sent

    assert through(scenario) == (2, 9, 18)


def test_it_notices_when_the_client_leaves_and_so_does_the_server():
    left = asyncio.Event()

    async def serve(reader, writer):
        await reader.read(1000)
        with contextlib.suppress(ConnectionError):
            await reader.read(1000)
        left.set()
        writer.close()

    async def scenario(proxy):
        _, writer = await connect(proxy)
        writer.write(b"abc")
        await proxy.until(lambda: proxy.received)
        assert not left.is_set()
        writer.close()
        await proxy.until(lambda: not proxy.links)
        await left.wait()

    through(scenario, serve)


def test_refused_connections_are_refused_and_open_ones_cut():
    async def scenario(proxy):
        reader, _ = await connect(proxy)
        await proxy.until(lambda: proxy.links)
        await proxy.switch(Refuse())
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy)
        port = proxy.port
        await proxy.switch(Pass())
        assert proxy.port == port
        return await ask(proxy)

    assert through(scenario) == b"abcabc"


def test_who_hangs_takes_requests_and_says_nothing_on_old_connections_too():
    async def scenario(proxy):
        reader, writer = await connect(proxy)
        writer.write(b"abc")
        await reader.readexactly(6)
        await proxy.switch(Hang())
        writer.write(b"def")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await reader.read(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await ask(proxy)
        assert proxy.received == 9

    through(scenario)


def test_delays_are_exact_and_keep_the_order():
    async def scenario(proxy):
        await proxy.switch(Delay(600))
        reader, writer = await connect(proxy)
        loop = asyncio.get_running_loop()
        for data in (b"a", b"b", b"c"):
            writer.write(data)
            await asyncio.sleep(1)
        return [(await reader.readexactly(2), round(loop.time())) for _ in range(3)]

    assert through(scenario) == [(b"aa", 600), (b"bb", 601), (b"cc", 602)]


def test_a_factor_makes_a_slow_server_slower():
    async def slow(reader, writer):
        await reader.read(1000)
        await asyncio.sleep(2)
        writer.write(b"abcabc")

    async def scenario(proxy):
        await proxy.switch(Delay(factor=10))
        await ask(proxy)
        return round(asyncio.get_running_loop().time())

    assert through(scenario, slow) == 20


def test_dripping_takes_its_time_for_every_piece():
    async def scenario(proxy):
        await proxy.switch(Drip(10, size=2))
        assert await ask(proxy) == b"abcabc"
        return round(asyncio.get_running_loop().time())

    assert through(scenario) == 30


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_reset_comes_after_so_many_bytes(after):
    async def scenario(proxy):
        await proxy.switch(Reset(after))
        reader, writer = await connect(proxy)
        writer.write(b"abc")
        if after:
            assert await reader.readexactly(after) == b"abcabc"[:after]
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        assert proxy.sent == after

    through(scenario)


def test_a_server_that_answers_errors_or_garbage():
    async def scenario(proxy):
        await proxy.switch(fault_proxy.http_error(503))
        reader, writer = await connect(proxy)
        writer.write(b"abc")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.endswith(b"\r\n\r\n{}")
        await proxy.switch(fault_proxy.garbage())
        assert await ask(proxy) == bytes(range(6))

    through(scenario)


def test_a_half_closed_connection_still_takes_what_is_sent():
    async def scenario(proxy):
        await proxy.switch(HalfClose())
        reader, writer = await connect(proxy)
        writer.write(b"abc")
        assert await reader.read() == b""
        writer.write(b"def")
        await proxy.until(lambda: proxy.received == 6)

    through(scenario)


def test_a_server_that_is_not_there_closes_the_connection():
    async def scenario():
        async with FaultProxy("127.0.0.1:9") as proxy:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await ask(proxy)

    run_virtual(scenario())
