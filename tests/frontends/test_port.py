import asyncio
import socket

import pytest
from support.looped import looped

from gateway.frontends.port import Port


def port(*, share=False, patience=1.5):
    return Port(share=share, patience=patience)


class Greeting(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()


async def listening(bound):
    return await asyncio.get_running_loop().create_server(Greeting, sock=bound.listener())


@looped
async def test_it_is_taken_until_it_is_closed():
    first, second = port(), port()
    number = first.bind("127.0.0.1", 0)
    server = await listening(first)
    with pytest.raises(OSError, match="in use"):
        second.bind("127.0.0.1", number)
    await first.close(server.close, Greeting)
    third = port()
    assert third.bind("127.0.0.1", number) == number
    third.listener().close()


@looped
async def test_a_shared_one_may_be_taken_again():
    first, second = port(share=True), port(share=True)
    number = first.bind("127.0.0.1", 0)
    assert second.bind("127.0.0.1", number) == number


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6")
def test_a_host_with_colons_is_ipv6():
    bound = port()
    bound.bind("::1", 0)
    with bound.listener() as listener:
        assert listener.family is socket.AF_INET6


def test_binding_comes_first():
    with pytest.raises(RuntimeError, match="bind"):
        port().listener()


def test_connections_are_given_up_when_their_client_takes_nothing():
    bound = port(patience=1.5)
    number = bound.bind("127.0.0.1", 0)
    with bound.listener() as listener:
        listener.listen()
        with socket.create_connection(("127.0.0.1", number)):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_what_nobody_has_accepted_is_handed_out():
    bound = port()
    number = bound.bind("127.0.0.1", 0)
    with bound.listener() as listener:
        listener.listen()
        clients = [socket.create_connection(("127.0.0.1", number)) for _ in range(3)]
        found = bound.accepted(2) + bound.accepted(2) + bound.accepted(2)
        assert [each.getpeername() for each in found] == [client.getsockname() for client in clients]
        assert not any(each.getblocking() for each in found)
        for each in (*found, *clients):
            each.close()


@looped
async def test_who_has_connected_before_the_end_is_served():
    bound = port()
    number = bound.bind("127.0.0.1", 0)
    listener = bound.listener()
    listener.listen()  # and nobody accepts
    clients = [await asyncio.open_connection("127.0.0.1", number) for _ in range(5)]
    await bound.close(listener.close, Greeting)
    assert [await reader.read() for reader, _ in clients] == [b"hello"] * 5
    for _, writer in clients:
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", number)
