"""What the connections of one port have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.core.limits import Limits
from gateway.http1.reader import MAX_HEAD
from gateway.http1.reply import Reply
from gateway.http1.request import Request

if TYPE_CHECKING:
    from gateway.http1.connection import Connection

# Read at once for the parser, in bytes. Of what comes with a head it makes copies, so that it is no more than a head
# may be, which the reader relies on.
READ_AT_ONCE = MAX_HEAD

Application = Callable[[Request], Awaitable[Reply]]


class Crowd(Protocol):
    """Says which requests are turned away as soon as their head is there; of use only while it is ``on``."""

    @property
    def on(self) -> bool:
        """Whether any are."""

    def refuses(self, verb: bytes, target: bytes, headers: Mapping[bytes, bytes], in_flight: int) -> bool:
        """Whether this one is while ``in_flight`` others are being answered."""


@dataclass(slots=True, eq=False)
class Serving:
    """One port, as its connections see it.

    Attributes:
        application: answers a request; raises ClientDisconnected when there is nobody to answer.
        limits: what a connection may ask for, and how many there may be.
        keep_alive: how long a connection may be idle, in seconds.
        crowd: None turns nobody away.
        scratch: what they read into.
        connections: those that there are.
        tasks: one for each request that is being answered.
    """

    application: Application
    limits: Limits
    keep_alive: float
    crowd: Crowd | None = None
    scratch: memoryview = field(default_factory=lambda: memoryview(bytearray(READ_AT_ONCE)))
    connections: set[Connection] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
