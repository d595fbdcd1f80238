"""The little that the hot path needs of ASGI: headers, a bounded body, one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from gateway.core.errors import InvalidRequest, PayloadTooLarge, RequestTimeout, Unsupported
from gateway.core.limits import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
# Among the extensions of a scope: takes the beginning of a body, its length or None, and the limits; gives the whole.
REST = "gateway.rest"
Rest = Callable[[bytes, int | None, Limits], Awaitable[bytes]]


class ClientDisconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class Client:
    """The other side of one HTTP connection; the server tells it what becomes of that.

    Attributes:
        gone: whether it has left.
    """

    # The name among the extensions of a scope.
    EXTENSION = "gateway.client"

    __slots__ = ("_waiting", "gone")

    def __init__(self) -> None:
        self.gone = False
        self._waiting: asyncio.Task[Any] | None = None

    @property
    def waits(self) -> bool:
        """Whether a task works for nobody else than this client."""
        return self._waiting is not None

    def cancel_when_gone(self) -> None:
        """Have the running task cancelled if the client leaves before it has its answer.

        Raises:
            ClientDisconnected: it has left already.
        """
        if self.gone:
            raise ClientDisconnected
        self._waiting = asyncio.current_task()

    def answered(self) -> None:
        """It has the answer that it waited for."""
        self._waiting = None

    def leave(self) -> None:
        """It is gone."""
        self.gone = True
        if self._waiting is not None:
            self._waiting.cancel()


async def read_body(scope: Scope, receive: Receive, headers: dict[bytes, bytes], limits: Limits) -> bytes:
    """The whole request body.

    Raises:
        PayloadTooLarge: over the limit of bytes or of chunks; a length that is announced is refused unread.
        RequestTimeout: it takes longer than the limit.
        Unsupported: a transfer coding other than chunked.
        ClientDisconnected: the client left in the middle.
    """
    coding = headers.get(b"transfer-encoding")
    if coding is not None and coding.strip().lower() not in (b"chunked", b"identity"):
        raise Unsupported("header Transfer-Encoding: nothing but 'chunked' is supported")
    announced = headers.get(b"content-length", b"")
    length = int(announced) if coding is None and announced.isdigit() else None
    if length is not None and length > limits.body_bytes:
        raise PayloadTooLarge(f"body: {length} bytes are over the limit of {limits.body_bytes}")
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        return _checked(whole, limits)
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    rest: Rest = scope["extensions"][REST]
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await rest(message.get("body", b""), length, limits)
    except TimeoutError:
        raise RequestTimeout(f"body: not complete within {limits.body_seconds:g} s") from None


async def respond(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Send a complete answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-length", str(len(body)).encode()), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


def header_text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    """The header ``name`` as text.

    Raises:
        InvalidRequest: it is not ASCII.
    """
    value = headers.get(name)
    if value is None:
        return None
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidRequest(f"header {name.decode()}: only ASCII is allowed") from None


def _checked(body: bytes, limits: Limits) -> bytes:
    if len(body) > limits.body_bytes:
        raise PayloadTooLarge(f"body: {len(body)} bytes are over the limit of {limits.body_bytes}")
    return body
