"""Names and the addresses behind them."""

import asyncio
import socket

import pytest

from gateway.backends.hosts import is_name, look_up


@pytest.mark.parametrize(
    ("host", "expected"),
    [("onnxruntime", True), ("localhost", True), ("10.0.0.1", False), ("::1", False), ("1.2", True)],
)
def test_addresses_are_no_names(host, expected):
    assert is_name(host) == expected


def test_a_name_of_this_machine_is_found():
    assert asyncio.run(look_up("localhost")) in (["127.0.0.1"], ["::1"])


def test_a_name_that_nobody_has_is_an_error():
    with pytest.raises(socket.gaierror):
        asyncio.run(look_up("no-such-name.invalid"))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (["fd00::2", "10.0.0.3", "10.0.0.2", "10.0.0.3"], ["10.0.0.2", "10.0.0.3"]),
        (["fd00::2", "fd00::1"], ["fd00::1", "fd00::2"]),
    ],
)
def test_servers_with_addresses_of_both_families_are_counted_once(told, expected):
    async def scenario():
        async def getaddrinfo(name, port, **options):
            return [(socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, port)) for each in told]

        asyncio.get_running_loop().getaddrinfo = getaddrinfo
        return await look_up("servers")

    assert asyncio.run(scenario()) == expected
