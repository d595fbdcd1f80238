"""The HTTP side of a backend: a pool of keep-alive connections, and its failures mapped to our errors."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.http_connection import ConnectionBroken, HTTPAnswer, HTTPConnection, ProtocolViolation
from gateway.core.errors import AttemptTimeout, BackendError, ConnectFailed, ConnectionLost
from gateway.core.tensors import Buffer

_CONNECT_SECONDS = 5.0
# One of several servers is not waited for so long: time for one more try of the kernel, which comes after a second.
_CONNECT_SECONDS_OF_REPLICA = 2.0
# A machine or a network that is gone closes no connection. A server that is merely busy has a kernel that answers.
_SILENCE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),  # milliseconds until the connection is given up
)


class HTTPClient:
    """Speaks to one server. ``timeout`` bounds one exchange, in seconds; ``max_body`` an answer, in bytes.

    With an entry in ``hosts`` it is found there; TLS and the Host header keep its name.
    """

    def __init__(self, backend: str, base_url: str, *, timeout: float, max_body: int, hosts: Hosts = NO_HOSTS) -> None:
        parts = urlsplit(base_url)
        self._backend = backend
        self._host = parts.hostname or ""
        self._address = hosts.get(self._host, self._host)
        longest = _CONNECT_SECONDS_OF_REPLICA if self._host in hosts else _CONNECT_SECONDS
        self._connect_timeout = min(timeout, longest)
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._authority = parts.netloc
        self._timeout = timeout
        self._max_body = max_body
        # The last one used is the first to be used again: the others may go idle and be closed by the server.
        self._idle: list[HTTPConnection] = []

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> HTTPAnswer:
        """GET ``path``.

        Raises:
            ConnectFailed: nothing reached the server.
            AttemptTimeout: no complete answer in time.
            ConnectionLost: the connection broke before the answer was complete.
            BackendError: the answer is no HTTP or too large.
        """
        return await self._exchange("GET", path, (), headers or {})

    async def post(self, path: str, body: bytes | Sequence[Buffer], headers: Mapping[str, str]) -> HTTPAnswer:
        """POST ``body``, whole or in parts, to ``path``; raises as ``get``."""
        return await self._exchange("POST", path, (body,) if isinstance(body, bytes) else body, headers)

    async def delete(self, path: str, headers: Mapping[str, str]) -> HTTPAnswer:
        """DELETE ``path``; raises as ``get``."""
        return await self._exchange("DELETE", path, (), headers)

    async def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, method: str, path: str, body: Sequence[Buffer], headers: Mapping[str, str]) -> HTTPAnswer:
        length = sum([len(part) for part in body])
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._authority}\r\nContent-Length: {length}\r\n{lines}\r\n"
        connection = self._idle_connection() or await self._connect()
        answer = connection.send(head.encode("latin-1"), body)
        expiry = asyncio.get_running_loop().call_later(self._timeout, _expire, answer)
        try:
            received = await answer
        except TimeoutError:
            raise AttemptTimeout(f"backend {self._backend!r} did not answer in time") from None
        except ConnectionBroken:
            raise ConnectionLost(f"backend {self._backend!r} closed the connection before it answered") from None
        except ProtocolViolation as error:
            raise BackendError(f"backend {self._backend!r} gave {error}") from None
        finally:
            expiry.cancel()
            if connection.reusable:
                self._idle.append(connection)
            else:
                # Also when we were cancelled: the answer to an abandoned request must not meet the next one.
                connection.close()
        return received

    def _idle_connection(self) -> HTTPConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        return None

    async def _connect(self) -> HTTPConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                transport, connection = await loop.create_connection(
                    lambda: HTTPConnection(self._max_body),
                    self._address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except TimeoutError:
            raise ConnectFailed(f"backend {self._backend!r} cannot be reached") from None
        except OSError:
            raise ConnectFailed(f"backend {self._backend!r} refused the connection") from None
        for option in _SILENCE:
            transport.get_extra_info("socket").setsockopt(*option)
        return connection


def _expire(answer: asyncio.Future[HTTPAnswer]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
