"""One request: its head, and its body as soon as all of it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import httptools

from gateway.core.arrival import Arrival
from gateway.core.errors import PayloadTooLarge, RequestTimeout, Unsupported
from gateway.core.limits import Limits
from gateway.http1.client import Client, ClientDisconnected

# So many bytes at least are worth it to read them past the parser.
_LARGE = 16 * 1024
# Where so much of a body comes with its head, there is more to come as a rule.
_ENOUGH = 32 * 1024


class Source(Protocol):
    """The connection that a request came on."""

    client: Client

    def go_on(self, request: Request) -> None:
        """Somebody waits for the body."""

    def expect(self, arrival: Arrival) -> None:
        """What comes next belongs there, up to the end of the body."""


class Request:
    """One HTTP request.

    The connection feeds the body to it, and ends it; ``body`` is for who answers.

    Attributes:
        method: the verb.
        path: as it came, with its quotes and without the query.
        query: what follows the question mark.
        headers: by name in lower case.
        client: who asks.
        keep_alive: whether the connection is to go on after the answer.

    Raises:
        ValueError: ``target`` is no address.
    """

    __slots__ = (
        "_complete",
        "_limits",
        "_over",
        "_pieces",
        "_size",
        "_source",
        "_waiter",
        "client",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query",
    )

    def __init__(
        self, source: Source, method: bytes, target: bytes, headers: Mapping[bytes, bytes], *, keep_alive: bool
    ) -> None:
        self.method = method.decode("ascii")
        self.path, self.query = _split(target)
        self.headers = headers
        self.client = source.client
        self.keep_alive = keep_alive
        self._source = source
        self._pieces: list[bytes] = []
        self._size = 0
        self._complete = False
        self._limits: Limits | None = None  # of who waits for the body
        self._over = ""  # which of them it is over
        self._waiter: asyncio.Future[None] | None = None

    # ---- for who answers

    async def body(self, limits: Limits) -> bytes:
        """The whole of it.

        Raises:
            PayloadTooLarge: over the limit of bytes or of pieces; a length that is announced is refused unread.
            RequestTimeout: it takes longer than the limit.
            Unsupported: a transfer coding other than chunked.
            ClientDisconnected: the client left in the middle.
        """
        length = self._announced(limits)
        if not self._complete:
            try:
                async with asyncio.timeout(limits.body_seconds):
                    return await self._rest(length, limits)
            except TimeoutError:
                raise RequestTimeout(f"body: not complete within {limits.body_seconds:g} s") from None
        if self._size > limits.body_bytes:
            raise PayloadTooLarge(f"body: {self._size} bytes are over the limit of {limits.body_bytes}")
        return self._joined()

    # ---- for the connection

    @property
    def has_begun(self) -> bool:
        """Whether anything of the body has come."""
        return self._size > 0 or self._complete

    @property
    def has_enough(self) -> bool:
        """Whether more of the body has come than has to be here before somebody waits for it."""
        return self._limits is None and self._size >= _ENOUGH

    def feed(self, piece: bytes) -> None:
        """More of the body."""
        if self._over:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._limits is not None:
            self._judge(self._limits)

    def end(self) -> None:
        """The body is complete."""
        self._complete = True
        self.wake()

    def wake(self) -> None:
        """Have who waits for the body look at what has become of it."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ---- the body

    def _announced(self, limits: Limits) -> int | None:
        """The length of the body, where it is known."""
        coding = self.headers.get(b"transfer-encoding")
        if coding is not None:
            if coding.strip().lower() not in (b"chunked", b"identity"):
                raise Unsupported("header Transfer-Encoding: nothing but 'chunked' is supported")
            return None
        announced = self.headers.get(b"content-length", b"")
        length = int(announced) if announced.isdigit() else None
        if length is not None and length > limits.body_bytes:
            raise PayloadTooLarge(f"body: {length} bytes are over the limit of {limits.body_bytes}")
        return length

    async def _rest(self, length: int | None, limits: Limits) -> bytes:
        if self.client.gone:
            raise ClientDisconnected
        self._limits = limits
        self._judge(limits)
        self._source.go_on(self)
        if length is None or length - self._size < _LARGE:
            await self._come()
            if self._over:
                raise PayloadTooLarge(f"body: over the limit of {self._over}")
            return self._joined()
        arrival = Arrival(length, self._joined())
        self._source.expect(arrival)
        await self._come()
        return arrival.whole()

    def _judge(self, limits: Limits) -> None:
        if self._size > limits.body_bytes:
            self._over = f"{limits.body_bytes} bytes"
        elif len(self._pieces) > limits.body_chunks:
            self._over = f"{limits.body_chunks} chunks"
        if self._over:
            self.wake()

    async def _come(self) -> None:
        """Wait for the end of the body, or until there is too much of it."""
        loop = asyncio.get_running_loop()
        while not (self._complete or self._over):
            if self.client.gone:
                raise ClientDisconnected
            self._waiter = loop.create_future()
            await self._waiter

    def _joined(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def expects_continue(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a client with these ``headers`` may wait for a word before it sends the body."""
    return headers.get(b"expect", b"").lower() == b"100-continue"


def _split(target: bytes) -> tuple[str, bytes]:
    """The path and the query of a target, which is a whole URL where clients take a server for their proxy."""
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
    else:
        try:
            url = httptools.parse_url(target)
        except httptools.HttpParserInvalidURLError as error:
            raise ValueError(f"no address: {target[:200]!r}") from error
        path, query = url.path, url.query or b""
        if path is None:
            raise ValueError("an address without a path")
    return path.decode("ascii"), query
