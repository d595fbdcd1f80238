"""Names of servers, and the addresses behind them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

# The address to use for a name, as /etc/hosts has it; a name that is not in it is looked up for each connection.
Hosts = Mapping[str, str]
NO_HOSTS: Hosts = MappingProxyType({})

# The addresses of a name; raises OSError when there is no answer.
LookUp = Callable[[str], Awaitable[Sequence[str]]]


def is_name(host: str) -> bool:
    """Whether ``host`` has to be looked up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


async def look_up(name: str) -> list[str]:
    """Every address of ``name``, in a fixed order.

    Only the IPv4 ones where it has both: the IPv6 ones are the same servers once more.

    Raises:
        OSError: there is no such name, or nobody to ask.
    """
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    by_family = {family: {str(place[0]) for of, *_, place in found if of is family} for family, *_ in found}
    return sorted(by_family.get(socket.AF_INET) or by_family[socket.AF_INET6])
